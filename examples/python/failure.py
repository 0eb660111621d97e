"""Reads the details of quash's errors."""
import dataclasses

import grpc

from quash import enum_name, messages


@dataclasses.dataclass
class Failure:
    """The details of a gRPC error as one object."""

    code: str  # the name of the gRPC code: "UNAVAILABLE"
    message: str  # a text for people; it never contains the token or a part of it
    # Whether a retry of the same call can succeed.
    retryable: bool
    # How many seconds to wait before the retry; 0 if the caller decides.
    retry_delay: float = 0
    # A reason from docs/outcomes.md; "" if the error does not come from quash, but from the
    # connection or a proxy.
    reason: str = ""
    # Whether the token is dead: "NOT_APPLIED", "IN_PROGRESS" or "UNKNOWN". gRPC does not report
    # whether it sent the request. So the state is unknown, unless quash reports it.
    state: str = "UNKNOWN"
    # SlashID's id for the request, for SlashID's support; "" if SlashID did not answer.
    correlation_id: str = ""
    # The invalid fields of the request: pairs of field and description.
    violations: list = dataclasses.field(default_factory=list)


def read(error):
    """Returns the Failure of a grpc.RpcError."""
    code = error.code()
    failure = Failure(code.name, error.details() or "", retryable=code == grpc.StatusCode.UNAVAILABLE)
    trailers = dict(error.trailing_metadata() or ())
    if "grpc-status-details-bin" not in trailers:
        return failure
    delayed = False
    for packed in messages["google.rpc.Status"].FromString(trailers["grpc-status-details-bin"]).details:
        name = packed.type_url.rpartition("/")[2]
        if name not in messages:
            continue
        detail = messages[name].FromString(packed.value)
        if name == "google.rpc.ErrorInfo" and detail.domain == "quash":
            failure.reason = detail.reason
        elif name == "quash.v1.RevokeFailure":
            state = enum_name(detail, "state").replace("REVOCATION_STATE_", "")
            if state in ("NOT_APPLIED", "IN_PROGRESS"):
                failure.state = state
        elif name == "google.rpc.RetryInfo":
            delayed = True
            failure.retry_delay = detail.retry_delay.seconds + detail.retry_delay.nanos / 1e9
        elif name == "google.rpc.RequestInfo":
            failure.correlation_id = detail.request_id
        elif name == "google.rpc.BadRequest":
            failure.violations = [(v.field, v.description) for v in detail.field_violations]
    # quash sends a RetryInfo with exactly those errors that can be retried.
    if failure.reason or delayed:
        failure.retryable = delayed
    return failure
