"""The kinds of failure that a caller can meet, and nothing else.

    ServiceError
    ├── InvalidInput            the request itself is wrong; names each field
    │   ├── InvalidSpec             a job's specification
    │   └── InvalidUpload           uploaded bytes
    ├── Unauthenticated         no credential, or not a known one
    ├── PermissionDenied        a known credential that may not do this
    ├── NotFound                no such thing for this caller
    ├── RequestIdReused         one request_id, two different requests
    ├── PreconditionFailed      the thing exists but is in the wrong state
    ├── Conflict                someone else changed the thing meanwhile; read it, and repeat
    ├── QuotaExceeded           limits of the plan; says which, how much is used, when they reset
    ├── LimitReached            too much at the same time; says which limit, and when to retry
    │   └── GaveWay                 a call without a key that ended to make room for a newer one
    ├── Unavailable             try again; nothing was charged
    └── DeadlineTooShort        the caller leaves too little time to answer

A class's docstring is its default message. `reason` is a word of `services.reasons`, which goes to
callers in `google.rpc.ErrorInfo`; `metadata` repeats every changing part of the message.
Which gRPC code a kind becomes is decided in `services.rpc.status_codes`, not here.
"""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from services.reasons import CallReason, Reason, RequestReason


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing wrong with one field of a request."""

    field: str
    """Path of the field in the request, in proto spelling: `spec.image_to_video.prompt`."""
    description: str
    """What is wrong, the limit, and the way out, in one sentence for a person."""
    reason: Reason = RequestReason.INVALID_VALUE
    """The word for programs."""


class ServiceError(Exception):
    """The service failed."""

    def __init__(self, message: str = "", *, reason: Reason, metadata: Mapping[str, str] | None = None) -> None:
        self.message = message or inspect.cleandoc(type(self).__doc__ or "")
        self.reason = reason
        self.metadata = dict(metadata or {})
        super().__init__(self.message)


class InvalidInput(ServiceError):
    """The request is not valid."""

    def __init__(
        self,
        violations: Sequence[Violation],
        message: str = "",
        *,
        reason: Reason = RequestReason.INVALID_INPUT,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        self.violations = tuple(violations)
        listed = "; ".join(f"{v.field}: {v.description}" for v in self.violations)
        super().__init__(message or listed, reason=reason, metadata=metadata)


class InvalidSpec(InvalidInput):
    """The job's specification is not valid, or is beyond what the model can make."""


class InvalidUpload(InvalidInput):
    """The uploaded bytes are not an acceptable asset."""


class Unauthenticated(ServiceError):
    """No valid API key was given. Send `authorization: Bearer <key>`."""


class PermissionDenied(ServiceError):
    """This credential may not do this."""


class NotFound(ServiceError):
    """There is no such thing, or it belongs to somebody else."""

    def __init__(self, kind: str, name: str, *, field: str = "", message: str = "") -> None:
        """`message` is for a thing whose name must not be said; otherwise it names it."""
        self.kind = kind
        self.name = name
        metadata = {"kind": kind, "name": name} | ({"field": field} if field else {})
        where = f"{field}: " if field else ""
        super().__init__(
            message or f"{where}There is no {kind} {name!r} for this caller.",
            reason=RequestReason.NOT_FOUND,
            metadata=metadata,
        )


class RequestIdReused(ServiceError):
    """This request_id was used before with another request. Use a new UUID for a new request."""

    def __init__(self, message: str = "", *, metadata: Mapping[str, str] | None = None) -> None:
        super().__init__(message, reason=RequestReason.REQUEST_ID_REUSED, metadata=metadata)


class PreconditionFailed(ServiceError):
    """The thing is not in a state that allows this."""


class Conflict(ServiceError):
    """The thing was changed meanwhile. Read it again, and repeat the change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitViolation:
    """One limit of a plan that does not allow what is asked for. Amounts are in the measure's unit."""

    subject: str
    """`tenant`, `user` or `key`."""
    measure: str
    """What is counted, such as `spend` or `jobs:model=nano`."""
    per: str
    """The period, such as `month` or `at-a-time`."""
    plan: str
    limit: int
    used: int
    """By ended and unfinished jobs."""
    asked: int
    resets_at: datetime | None
    """When the period ends; None: at a time."""
    description: str
    """For an end user, in one sentence."""
    reason: Reason


class QuotaExceeded(ServiceError):
    """A limit of the plan is reached."""

    def __init__(self, violations: Sequence[LimitViolation], *, retry_time: datetime | None = None) -> None:
        """`retry_time` is when waiting alone lifts every violation; None: it does not."""
        self.violations = tuple(violations)
        self.retry_time = retry_time
        first = violations[0]
        metadata = {
            "subject": first.subject,
            "measure": first.measure,
            "per": first.per,
            "plan": first.plan,
            "limit": str(first.limit),
            "used": str(first.used),
            "asked": str(first.asked),
            "violations": str(len(violations)),
        }
        if first.resets_at is not None:
            metadata["resets_at"] = first.resets_at.isoformat()
        message = " ".join(each.description for each in violations)
        super().__init__(message, reason=first.reason, metadata=metadata)


class LimitReached(ServiceError):
    """Too many calls are open, or too many jobs wait, at the same time. Try again later; nothing was charged."""

    def __init__(
        self,
        message: str,
        *,
        limit: int,
        reason: Reason,
        retry_after_s: float = 1.0,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        self.limit = limit
        self.retry_after_s = retry_after_s
        super().__init__(message, reason=reason, metadata={"limit": str(limit)} | dict(metadata or {}))


class GaveWay(LimitReached):
    """This call ended to make room for a newer one."""


class Unavailable(ServiceError):
    """The service cannot do this right now. Try again; nothing was charged."""

    def __init__(
        self,
        message: str = "",
        *,
        reason: Reason,
        retry_after_s: float = 1.0,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        self.retry_after_s = retry_after_s
        super().__init__(message, reason=reason, metadata=metadata)


class DeadlineTooShort(ServiceError):
    """The caller's deadline leaves too little time to answer."""

    def __init__(self, message: str = "", *, metadata: Mapping[str, str] | None = None) -> None:
        super().__init__(message, reason=CallReason.DEADLINE_TOO_SHORT, metadata=metadata)
