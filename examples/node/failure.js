// Reads the details of quash's errors.
import { status } from "@grpc/grpc-js";
import { decode } from "./quash.js";

// failure returns the details of a gRPC error as one object:
//
//   code           the name of the gRPC code: "UNAVAILABLE"
//   message        a text for people; it never contains the token or a part of it
//   reason         a reason from docs/outcomes.md; "" if the error does not come from quash,
//                  but from the connection or a proxy
//   state          whether the token is dead: "NOT_APPLIED", "IN_PROGRESS" or "UNKNOWN"
//   retryable      whether a retry of the same call can succeed
//   retryDelayMs   how long to wait before the retry; 0 if the caller decides
//   correlationId  SlashID's id for the request, for SlashID's support; "" if SlashID did not
//                  answer
//   violations     the invalid fields of the request: field and description
export function failure(error) {
  const result = {
    code: status[error.code] ?? "UNKNOWN",
    message: error.details ?? "",
    reason: "",
    // grpc-js does not report whether it sent the request. So the state is unknown, unless
    // quash reports it.
    state: "UNKNOWN",
    retryable: error.code === status.UNAVAILABLE,
    retryDelayMs: 0,
    correlationId: "",
    violations: [],
  };
  const [bytes] = error.metadata?.get("grpc-status-details-bin") ?? [];
  if (bytes === undefined) return result;
  let delayed = false;
  for (const { type_url: type, value } of decode("google.rpc.Status", bytes).details) {
    const name = type.slice(type.lastIndexOf("/") + 1);
    const detail = decode(name, value);
    switch (name) {
      case "google.rpc.ErrorInfo":
        if (detail.domain === "quash") result.reason = detail.reason;
        break;
      case "quash.v1.RevokeFailure":
        if (detail.state !== "REVOCATION_STATE_UNSPECIFIED") {
          result.state = detail.state.slice("REVOCATION_STATE_".length);
        }
        break;
      case "google.rpc.RetryInfo": {
        const { seconds, nanos } = detail.retry_delay ?? { seconds: 0, nanos: 0 };
        delayed = true;
        result.retryDelayMs = seconds * 1e3 + nanos / 1e6;
        break;
      }
      case "google.rpc.RequestInfo":
        result.correlationId = detail.request_id;
        break;
      case "google.rpc.BadRequest":
        result.violations = detail.field_violations.map(({ field, description }) => ({ field, description }));
        break;
    }
  }
  // quash sends a RetryInfo with exactly those errors that can be retried.
  if (result.reason !== "" || delayed) result.retryable = delayed;
  return result;
}
