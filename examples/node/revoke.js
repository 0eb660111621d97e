// One revocation: its deadline, its attempts, its answer.
import { setTimeout as sleep } from "node:timers/promises";
import { Metadata } from "@grpc/grpc-js";
import { failure } from "./failure.js";

// maxAttempts is the maximum number of calls to quash. quash also retries its own calls to
// SlashID.
const maxAttempts = 3;
// answerGraceMs is added to SlashID's timeout for the deadline of the call. quash always
// answers within that time.
const answerGraceMs = 5_000;
// jitterMs is the maximum random delay before the first retry. It doubles with each attempt
// and spreads calls that failed at the same time. It is added to the delay in quash's answer.
const jitterMs = 100;
// minLeftMs is the minimum time for another attempt: with less, it would end in a timeout,
// which says less than the current error.
const minLeftMs = 100;

// RevokeError means that a revocation failed. Its failure is the object that failure.js
// returns.
export class RevokeError extends Error {
  name = "RevokeError";

  constructor(failure, cause) {
    super(`${failure.code}: ${failure.message}`, { cause });
    this.failure = failure;
  }
}

// revoke revokes request.token. It returns a RevokeResponse if the token is dead, and throws a
// RevokeError otherwise. The other fields of request are those of RevokeRequest, with their
// names in the proto.
//
// deadline applies to all attempts together, in milliseconds since 1970. A retry waits as long
// as quash's answer says. If that is past the deadline, revoke throws and leaves the retry to
// the caller.
export async function revoke(client, request, deadline = defaultDeadline(request)) {
  let ambiguous = false; // an earlier attempt may have been applied
  for (let attempt = 1; ; attempt++) {
    try {
      return await call(client, request, deadline);
    } catch (error) {
      const details = failure(error);
      if (ambiguous && details.state === "NOT_APPLIED") details.state = "UNKNOWN";
      const delay = details.retryDelayMs + Math.random() * jitterMs * 2 ** (attempt - 1);
      if (!details.retryable || attempt === maxAttempts || Date.now() + delay + minLeftMs > deadline) {
        throw new RevokeError(details, error);
      }
      if (details.state === "UNKNOWN") {
        // If SlashID now reports the token as invalid, that is a success: the earlier
        // attempt revoked it, or it was dead before.
        ambiguous = true;
        request = { ...request, allow_invalid: true };
      }
      await sleep(delay);
    }
  }
}

// defaultDeadline leaves quash time to answer after SlashID's timeout.
function defaultDeadline({ timeout = { seconds: 30 } }) {
  return Date.now() + timeout.seconds * 1e3 + answerGraceMs;
}

// call makes one attempt. It waits for a connection until the deadline.
function call(client, request, deadline) {
  const metadata = new Metadata({ waitForReady: true });
  return new Promise((resolve, reject) => {
    client.revoke(request, metadata, { deadline }, (error, response) => (error ? reject(error) : resolve(response)));
  });
}
