// What the SDK does not tell: whether the token is dead.

// quash has an answer by then, whatever SlashID does: its timeout is 30 s here.
const deadlineMs = 35_000;

// sure has the quash at baseURL revoke a token that may be dead already, and returns
// whether it is: true; or false, with why, and in how many seconds a repetition can help.
//
// It does not throw for what quash answers, but for an answer that never came: nobody
// knows then, and it can be called again.
export async function sure(baseURL, token) {
  const response = await fetch(new URL("/v1/tokens:revoke", baseURL), {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ token, allowInvalid: true }),
    signal: AbortSignal.timeout(deadlineMs),
  });
  const answer = await response.json();
  if (response.ok) return { dead: true, outcome: answer.outcome };
  const detail = (name) => answer.details?.find((one) => one["@type"] === `type.googleapis.com/${name}`);
  return {
    dead: false,
    reason: detail("google.rpc.ErrorInfo")?.reason,
    state: detail("quash.v1.RevokeFailure")?.state,
    retryAfter: Number(response.headers.get("retry-after") ?? NaN),
  };
}
