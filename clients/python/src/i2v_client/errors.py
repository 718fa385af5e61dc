"""The errors that callers see, made from the statuses of the server.

I2VError
├── InvalidRequest      correct the named fields; do not send it again unchanged
├── QuotaExceeded       a limit of the plan; retry_after_s says when it resets, where it does
├── Conflict            it was changed meanwhile: read it, and repeat the change
├── NotFound            no such thing for this user
├── Unauthenticated     the key is missing, unknown, or not one for this
└── Unreachable         the server did not answer, or stopped answering; trying again is safe
    └── Busy                it answered that its limit of simultaneous calls is reached; trying again is safe
"""

import re
from collections.abc import Mapping
from dataclasses import replace

import grpc

from i2v_client.failure import Failure, LimitViolation, Violation, from_call

CONNECTION_LOST = re.compile("RST_STREAM|^Internal error from Core$")
"""gRPC's messages for a connection that a proxy has closed, and for a call that was answered while it was sending."""


class I2VError(Exception):
    """A call failed."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.code: grpc.StatusCode = failure.code
        self.reason: str = failure.reason
        """The stable UPPER_SNAKE code; empty when a proxy answered instead of the server."""
        self.message: str = failure.message
        self.violations: tuple[Violation, ...] = failure.violations
        """The invalid fields, and what is wrong with each."""
        self.limits: tuple[LimitViolation, ...] = failure.limits
        """The limits of the plan that refused, each with a sentence; `metadata["violations"]` says how many did."""
        self.metadata: Mapping[str, str] = failure.metadata
        """The changing parts of the message."""
        self.retry_after_s: float | None = failure.retry_after_s
        """Seconds until a retry makes sense, if the server gave them."""


class InvalidRequest(I2VError):
    """The request is not acceptable."""

    def of_field(self, field: str) -> "InvalidRequest":
        """Returns the same error for the field of another request, for which the rejected data were sent."""
        violations = tuple(replace(each, field=field) for each in self.violations)
        message = "; ".join(f"{each.field}: {each.description}" for each in violations) or self.message
        return InvalidRequest(Failure(self.code, message, self.reason, self.metadata, violations))


class QuotaExceeded(I2VError):
    """A limit of the plan is reached."""


class Conflict(I2VError):
    """The thing was changed meanwhile."""


class NotFound(I2VError):
    """There is no such thing for this user."""


class Unauthenticated(I2VError):
    """The key is missing or unknown."""


class Unreachable(I2VError):
    """The server does not answer."""


class Busy(Unreachable):
    """The limit of open calls or of waiting jobs is reached; some of them will end."""


KINDS: Mapping[grpc.StatusCode, type[I2VError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidRequest,
    grpc.StatusCode.ALREADY_EXISTS: InvalidRequest,
    grpc.StatusCode.FAILED_PRECONDITION: InvalidRequest,
    grpc.StatusCode.ABORTED: Conflict,
    grpc.StatusCode.RESOURCE_EXHAUSTED: QuotaExceeded,
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.UNAUTHENTICATED: Unauthenticated,
    grpc.StatusCode.PERMISSION_DENIED: Unauthenticated,
    grpc.StatusCode.UNAVAILABLE: Unreachable,
    grpc.StatusCode.DEADLINE_EXCEEDED: Unreachable,
    # A call that its own caller cancels raises CancelledError. This one was ended by a stopping server, or by a proxy.
    grpc.StatusCode.CANCELLED: Unreachable,
}


def error_of(failure: Failure | grpc.aio.AioRpcError) -> I2VError:
    """Returns the error to raise for a failure."""
    if isinstance(failure, grpc.aio.AioRpcError):
        failure = from_call(failure)
    if failure.code is grpc.StatusCode.INTERNAL and not failure.reason and CONNECTION_LOST.search(failure.message):
        return Unreachable(failure)
    if failure.code is grpc.StatusCode.RESOURCE_EXHAUSTED and failure.reason.endswith("_LIMIT_REACHED"):
        return Busy(failure)
    return KINDS.get(failure.code, I2VError)(failure)
