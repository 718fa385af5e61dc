"""Converts failures to gRPC statuses, and statuses to failures. Only this module knows both.

Every status carries ErrorInfo(reason, domain, metadata) and the details of its kind. A status is sent in HTTP/2
headers, which peers limit to 8 KiB, so long texts are cut and the last violations are dropped rather than the whole
answer lost. An error that is not a ServiceError becomes INTERNAL with an id that is in the log, and no details.
"""

import contextlib
import logging
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError, Message
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from services import errors
from services.errors import LimitViolation, Violation
from services.reasons import ServiceReason, reason_of
from services.resource_shortage import shortage

log = logging.getLogger(__name__)

DOMAIN = "i2v"
MESSAGE_CHARACTERS = 800
TEXT_CHARACTERS = 400
STATUS_BYTES = 3500
"""Base64 makes 4.7 KB of it, the message is up to 2.4 KB: together under the 8 KiB that peers accept."""
PACKING_BYTES = 80
"""Bytes that `Any` adds to a detail."""

CODES: Mapping[type[errors.ServiceError], int] = {
    errors.InvalidInput: code_pb2.INVALID_ARGUMENT,
    errors.Unauthenticated: code_pb2.UNAUTHENTICATED,
    errors.PermissionDenied: code_pb2.PERMISSION_DENIED,
    errors.NotFound: code_pb2.NOT_FOUND,
    errors.RequestIdReused: code_pb2.ALREADY_EXISTS,
    errors.PreconditionFailed: code_pb2.FAILED_PRECONDITION,
    errors.Conflict: code_pb2.ABORTED,
    errors.QuotaExceeded: code_pb2.RESOURCE_EXHAUSTED,
    errors.LimitReached: code_pb2.RESOURCE_EXHAUSTED,
    # Only at this code gRPC's clients stop watching health and continue to call; after others they watch again.
    errors.GaveWay: code_pb2.UNIMPLEMENTED,
    errors.Unavailable: code_pb2.UNAVAILABLE,
    errors.DeadlineTooShort: code_pb2.DEADLINE_EXCEEDED,
}


def _now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251  RetryInfo counts from the moment it is sent.


def to_status(error: BaseException, *, now: Callable[[], datetime] = _now) -> status_pb2.Status:
    """Returns the status of a failure. A shortage of our own resources is Unavailable, and logged.

    Any other error that is not a ServiceError is logged under the id that the caller receives.
    """
    if not isinstance(error, errors.ServiceError):
        if (lacking := shortage(error)) is None:
            return _internal(error)
        log.warning("a call lacked resources", extra={"reason": lacking.reason, "cause": repr(error)})
        error = lacking
    code = next((CODES[kind] for kind in type(error).__mro__ if kind in CODES), None)
    if code is None:
        return _internal(error)
    return _status(code, error.message, error.reason, error.metadata, _details(error, now))


def reason_in(status: status_pb2.Status) -> str:
    """Returns the reason in a status of `to_status`."""
    info = error_details_pb2.ErrorInfo()
    status.details[0].Unpack(info)
    return str(info.reason)


def _internal(error: BaseException) -> status_pb2.Status:
    error_id = secrets.token_hex(8)
    log.error("unexpected failure", exc_info=error, extra={"error_id": error_id})
    message = f"Something went wrong on our side. Quote the error id {error_id} when you report it."
    return _status(code_pb2.INTERNAL, message, ServiceReason.INTERNAL, {"error_id": error_id}, [])


def _status(
    code: int, message: str, reason: str, metadata: Mapping[str, str], details: list[Message]
) -> status_pb2.Status:
    status = status_pb2.Status(code=code, message=_cut(message, MESSAGE_CHARACTERS))
    info = error_details_pb2.ErrorInfo(reason=reason, domain=DOMAIN)
    info.metadata.update({key: _cut(value, TEXT_CHARACTERS) for key, value in metadata.items()})
    for detail in (info, *details):
        room = STATUS_BYTES - status.ByteSize() - PACKING_BYTES
        while (listed := _violations(detail)) and detail.ByteSize() > room:
            del listed[-1]
        if detail.ByteSize() <= room:
            status.details.add().Pack(detail)
    return status


def _violations(detail: Message) -> Any:
    """Returns the list in a detail that may be cut short; None if it has none."""
    match detail:
        case error_details_pb2.BadRequest():
            return detail.field_violations
        case error_details_pb2.QuotaFailure():
            return detail.violations
    return None


def _details(error: errors.ServiceError, now: Callable[[], datetime]) -> list[Message]:
    match error:
        case errors.InvalidInput():
            return [error_details_pb2.BadRequest(field_violations=[_violation(each) for each in error.violations])]
        case errors.NotFound():
            return [
                error_details_pb2.ResourceInfo(
                    resource_type=error.kind,
                    resource_name=_cut(error.name, TEXT_CHARACTERS),
                    description=_cut(error.message, TEXT_CHARACTERS),
                )
            ]
        case errors.PreconditionFailed():
            broken = error_details_pb2.PreconditionFailure.Violation(
                type=error.reason, description=_cut(error.message, TEXT_CHARACTERS)
            )
            return [error_details_pb2.PreconditionFailure(violations=[broken])]
        case errors.QuotaExceeded():
            failure = error_details_pb2.QuotaFailure(violations=[_quota(each) for each in error.violations])
            if error.retry_time is None:
                return [failure]
            return [_retry((error.retry_time - now()).total_seconds()), failure]
        case errors.Unavailable() | errors.LimitReached():
            return [_retry(error.retry_after_s)]
        case _:
            return []


def _quota(violation: LimitViolation) -> error_details_pb2.QuotaFailure.Violation:
    dimensions = {
        "used": str(violation.used),
        "asked": str(violation.asked),
        "per": violation.per,
        "plan": violation.plan,
    }
    if violation.resets_at is not None:
        dimensions["resets_at"] = violation.resets_at.isoformat()
    return error_details_pb2.QuotaFailure.Violation(
        subject=violation.subject,
        description=_cut(violation.description, TEXT_CHARACTERS),
        quota_id=violation.reason,
        quota_metric=violation.measure,
        quota_dimensions=dimensions,
        quota_value=violation.limit,
    )


def _limit(violation: error_details_pb2.QuotaFailure.Violation) -> LimitViolation:
    dimensions = violation.quota_dimensions
    return LimitViolation(
        subject=violation.subject,
        measure=violation.quota_metric,
        per=dimensions["per"],
        plan=dimensions["plan"],
        limit=violation.quota_value,
        used=int(dimensions["used"] or 0),
        asked=int(dimensions["asked"] or 0),
        resets_at=datetime.fromisoformat(dimensions["resets_at"]) if "resets_at" in dimensions else None,
        description=violation.description,
        reason=reason_of(violation.quota_id),
    )


def _violation(violation: Violation) -> error_details_pb2.BadRequest.FieldViolation:
    return error_details_pb2.BadRequest.FieldViolation(
        field=_cut(violation.field, TEXT_CHARACTERS),
        description=_cut(violation.description, TEXT_CHARACTERS),
        reason=violation.reason,
    )


def _retry(after_s: float) -> error_details_pb2.RetryInfo:
    delay = Duration()
    delay.FromMilliseconds(max(0, round(after_s * 1000)))
    return error_details_pb2.RetryInfo(retry_delay=delay)


def _cut(text: str, characters: int) -> str:
    """Returns at most so many characters of the text; fewer of those that take more bytes."""
    encoded = text.encode()
    return text if len(encoded) <= characters else encoded[: characters - 3].decode(errors="ignore") + "…"


@dataclass(frozen=True, slots=True)
class Failure:
    """The status of a failed call."""

    code: grpc.StatusCode
    message: str
    reason: str = ""
    """The stable UPPER_SNAKE code. Empty when the answer did not come from one of our servers."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    violations: tuple[Violation, ...] = ()
    limits: tuple[LimitViolation, ...] = ()
    """The limits of the plan that refused; not all, if there were too many for one answer."""
    retry_after_s: float | None = None


def from_call(error: grpc.aio.AioRpcError) -> Failure:
    """Returns the status of a failed call. Details that cannot be read are left out."""
    status = None
    with contextlib.suppress(ValueError, DecodeError):
        status = rpc_status.from_call(error)
    found: dict[str, Any] = {}
    for detail in status.details if status is not None else ():
        with contextlib.suppress(DecodeError, ValueError):
            found |= _read(detail)
    return Failure(error.code(), error.details() or error.code().name, **found)


def _read(detail: Any) -> dict[str, Any]:
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    retry, quota = error_details_pb2.RetryInfo(), error_details_pb2.QuotaFailure()
    if detail.Unpack(info):
        return {"reason": info.reason, "metadata": dict(info.metadata)}
    if detail.Unpack(bad):
        return {
            "violations": tuple(Violation(v.field, v.description, reason_of(v.reason)) for v in bad.field_violations)
        }
    if detail.Unpack(quota):
        return {"limits": tuple(map(_limit, quota.violations))}
    if detail.Unpack(retry):
        return {"retry_after_s": retry.retry_delay.ToMilliseconds() / 1000}
    return {}
