// A revocation: its deadline, its attempts, its answer.
import { setTimeout as sleep } from "node:timers/promises";
import { Metadata } from "@grpc/grpc-js";
import { failure } from "./failure.js";

// attemptsAtMost is how often quash is asked. It asks SlashID several times by itself.
const attemptsAtMost = 3;
// answerGraceMs is how much longer than SlashID's timeout a call may take: quash has an
// answer by then, whatever SlashID does.
const answerGraceMs = 5_000;
// jitterMs, doubled with each attempt, spreads the calls that failed together. It comes
// on top of the delay that quash asks for.
const jitterMs = 100;
// leastLeftMs is what an attempt needs to do better than the answer that there is.
const leastLeftMs = 100;

// RevokeError says why a revocation failed: .failure is what failure.js reads.
export class RevokeError extends Error {
  name = "RevokeError";

  constructor(failure, cause) {
    super(`${failure.code}: ${failure.message}`, { cause });
    this.failure = failure;
  }
}

// revoke revokes request.token, and returns a RevokeResponse: the token is dead then. The
// other fields of request are those of RevokeRequest, by their names in the proto.
// Otherwise it throws a RevokeError.
//
// All attempts together end by the deadline, in milliseconds since 1970. A repetition waits
// as long as quash asks for; where that is past the deadline, it is left to the caller.
export async function revoke(client, request, deadline = defaultDeadline(request)) {
  let ambiguous = false; // an earlier attempt may have been applied
  for (let attempt = 1; ; attempt++) {
    try {
      return await call(client, request, deadline);
    } catch (error) {
      const said = failure(error);
      if (ambiguous && said.state === "NOT_APPLIED") said.state = "UNKNOWN";
      const delay = said.retryDelayMs + Math.random() * jitterMs * 2 ** (attempt - 1);
      if (!said.retryable || attempt === attemptsAtMost || Date.now() + delay + leastLeftMs > deadline) {
        throw new RevokeError(said, error);
      }
      if (said.state === "UNKNOWN") {
        // Should SlashID call the token invalid now, that is what is wanted: it is dead
        // by our own doing, or was before.
        ambiguous = true;
        request = { ...request, allow_invalid: true };
      }
      await sleep(delay);
    }
  }
}

// defaultDeadline leaves quash time to answer after the timeout that SlashID is given.
function defaultDeadline({ timeout = { seconds: 30 } }) {
  return Date.now() + timeout.seconds * 1e3 + answerGraceMs;
}

// call asks once. It waits for a connection as long as it has time.
function call(client, request, deadline) {
  const metadata = new Metadata({ waitForReady: true });
  return new Promise((resolve, reject) => {
    client.revoke(request, metadata, { deadline }, (error, response) => (error ? reject(error) : resolve(response)));
  });
}
