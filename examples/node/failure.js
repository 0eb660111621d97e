// What an error of quash's says.
import { status } from "@grpc/grpc-js";
import { decode } from "./quash.js";

// failure reads what comes with an error of gRPC's:
//
//   code           gRPC's, by its name: "UNAVAILABLE"
//   message        for people; never with anything of the token in it
//   reason         why, as docs/outcomes.md lists it; "" where the error is not quash's, but
//                  was made on the way to it
//   state          whether the token is dead: "NOT_APPLIED", "IN_PROGRESS" or "UNKNOWN"
//   retryable      whether a repetition of the same call can help
//   retryDelayMs   how long to wait before it; 0 leaves that to the caller
//   correlationId  SlashID's id for the request, which its support asks for; "" where it
//                  did not answer
//   violations     the rules that the request breaks: field and description
export function failure(error) {
  const said = {
    code: status[error.code] ?? "UNKNOWN",
    message: error.details ?? "",
    reason: "",
    // grpc-js does not tell whether a request went out, so unless quash says what became
    // of the token nobody knows.
    state: "UNKNOWN",
    retryable: error.code === status.UNAVAILABLE,
    retryDelayMs: 0,
    correlationId: "",
    violations: [],
  };
  const [bytes] = error.metadata?.get("grpc-status-details-bin") ?? [];
  if (bytes === undefined) return said;
  let delayed = false;
  for (const { type_url: type, value } of decode("google.rpc.Status", bytes).details) {
    const name = type.slice(type.lastIndexOf("/") + 1);
    const detail = decode(name, value);
    switch (name) {
      case "google.rpc.ErrorInfo":
        if (detail.domain === "quash") said.reason = detail.reason;
        break;
      case "quash.v1.RevokeFailure":
        if (detail.state !== "REVOCATION_STATE_UNSPECIFIED") {
          said.state = detail.state.slice("REVOCATION_STATE_".length);
        }
        break;
      case "google.rpc.RetryInfo": {
        const { seconds, nanos } = detail.retry_delay ?? { seconds: 0, nanos: 0 };
        delayed = true;
        said.retryDelayMs = seconds * 1e3 + nanos / 1e6;
        break;
      }
      case "google.rpc.RequestInfo":
        said.correlationId = detail.request_id;
        break;
      case "google.rpc.BadRequest":
        said.violations = detail.field_violations.map(({ field, description }) => ({ field, description }));
        break;
    }
  }
  // quash knows better than the code alone.
  if (said.reason !== "" || delayed) said.retryable = delayed;
  return said;
}
