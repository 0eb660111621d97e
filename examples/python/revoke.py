"""One revocation: its deadline, its attempts, its answer."""
import copy
import itertools
import random
import time

import grpc

import failure
from quash import RevokeRequest, RevokeResponse

# The maximum number of calls to quash. quash also retries its own calls to SlashID.
MAX_ATTEMPTS = 3
# Added to SlashID's timeout for the deadline of the call. quash always answers within that time.
ANSWER_GRACE_S = 5
# The maximum random delay before the first retry. It doubles with each attempt and spreads calls
# that failed at the same time. It is added to the delay in quash's answer.
JITTER_S = 0.1
# The minimum time for another attempt: with less, it would end in a timeout, which says less
# than the current error.
MIN_LEFT_S = 0.1


class RevokeError(Exception):
    """A revocation failed. Its failure says whether the token is dead."""

    def __init__(self, details):
        super().__init__(f"{details.code}: {details.message}")
        self.failure = details


def revoke(channel, request, seconds=None):
    """Revokes request.token. Returns a RevokeResponse if the token is dead.

    Raises RevokeError otherwise. seconds is the time for all attempts together. A retry waits as
    long as quash's answer says. If that takes too long, revoke raises and leaves the retry to
    the caller.
    """
    call = channel.unary_unary(
        "/quash.v1.TokenService/Revoke", RevokeRequest.SerializeToString, RevokeResponse.FromString
    )
    deadline = time.monotonic() + (default_seconds(request) if seconds is None else seconds)
    ambiguous = False  # an earlier attempt may have been applied
    for attempt in itertools.count(1):
        try:
            # Waits for a connection until the deadline.
            return call(request, timeout=deadline - time.monotonic(), wait_for_ready=True)
        except grpc.RpcError as error:
            details = failure.read(error)
            if ambiguous and details.state == "NOT_APPLIED":
                details.state = "UNKNOWN"
            delay = details.retry_delay + random.uniform(0, JITTER_S * 2 ** (attempt - 1))
            late = time.monotonic() + delay + MIN_LEFT_S > deadline
            if not details.retryable or attempt == MAX_ATTEMPTS or late:
                raise RevokeError(details) from error
        if details.state == "UNKNOWN":
            # If SlashID now reports the token as invalid, that is a success: the earlier attempt
            # revoked it, or it was dead before.
            ambiguous = True
            request = copy.deepcopy(request)
            request.allow_invalid = True
        time.sleep(delay)


def default_seconds(request):
    """Leaves quash time to answer after SlashID's timeout, which is 30 s by default."""
    timeout = request.timeout.ToTimedelta().total_seconds() if request.HasField("timeout") else 30
    return timeout + ANSWER_GRACE_S
