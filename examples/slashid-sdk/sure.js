// Finds out whether a token is dead, which the SDK does not report.

// quash always answers within this time: SlashID's default timeout of 30 s, and 5 s.
const deadlineMs = 35_000;

// sure revokes a token that may already be dead, through the quash at baseURL. It returns
// dead: true, or dead: false with the reason, the state, and the number of seconds after which
// a retry can succeed.
//
// It throws only if quash does not answer. The state of the token is then unknown, and you can
// call sure again.
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
