"""The status of a failed call, read from what the server sends: `google.rpc` details in the trailers."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2
from grpc_status import rpc_status


@dataclass(frozen=True, slots=True)
class Violation:
    """One thing wrong with one field of a request."""

    field: str
    """Path of the field in the request, in proto spelling: `spec.image_to_video.prompt`."""
    description: str
    """What is wrong, the limit, and the way out, in one sentence for a person."""
    reason: str = "INVALID_VALUE"
    """The word for programs."""


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
    reason: str


@dataclass(frozen=True, slots=True)
class Failure:
    """The status of a failed call."""

    code: grpc.StatusCode
    message: str
    reason: str = ""
    """The stable UPPER_SNAKE word. Empty when a proxy answered, or nothing did."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """The changing parts of the message."""
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
        with contextlib.suppress(ValueError, DecodeError):
            found |= _read(detail)
    return Failure(error.code(), error.details() or error.code().name, **found)


def _read(detail: Any) -> dict[str, Any]:
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    retry, quota = error_details_pb2.RetryInfo(), error_details_pb2.QuotaFailure()
    if detail.Unpack(info):
        return {"reason": info.reason, "metadata": dict(info.metadata)}
    if detail.Unpack(bad):
        return {"violations": tuple(Violation(v.field, v.description, v.reason) for v in bad.field_violations)}
    if detail.Unpack(quota):
        return {"limits": tuple(map(_limit, quota.violations))}
    if detail.Unpack(retry):
        return {"retry_after_s": retry.retry_delay.ToMilliseconds() / 1000}
    return {}


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
        reason=violation.quota_id,
    )
