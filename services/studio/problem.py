"""Refusals as problem details (RFC 9457): `application/problem+json` with our reason as the type of the problem."""

from collections.abc import Mapping, Sequence
from typing import Any

import grpc
from starlette.requests import Request
from starlette.responses import JSONResponse

from services.reasons import HttpReason
from services.rpc.status_codes import Failure
from services.studio import rate_limit, statuses
from services.studio.refusal import BUSY
from services.studio.refused_request import RefusedRequest

MEDIA_TYPE = "application/problem+json"
TYPES = "urn:i2v:reason:"
"""The type of a problem is this and its reason: the same in every installation."""


def of_failure(failure: Failure, *, status: int = 0) -> JSONResponse:
    """Returns the response for a call that the API refused, with the usual status unless another one is given."""
    status, reason = status or statuses.status_of(failure), failure.reason
    if not reason:
        reason = HttpReason.API_UNAVAILABLE if failure.code in BUSY else HttpReason.API_FAILED
    more: dict[str, Any] = {}
    violations = [
        {"field": json_path(each.field), "reason": str(each.reason), "description": each.description}
        for each in failure.violations
    ]
    if failure.limits:
        more["limits"] = [
            {
                "reason": str(each.reason),
                "subject": each.subject,
                "measure": each.measure,
                "per": each.per,
                "plan": each.plan,
                "limit": str(each.limit),
                "used": str(each.used),
                "asked": str(each.asked),
                "resetTime": each.resets_at.isoformat() if each.resets_at else None,
                "description": each.description,
            }
            for each in failure.limits
        ]
    if failure.reason and failure.metadata:
        more["metadata"] = dict(failure.metadata)
    detail = "; ".join(f"{each['field']}: {each['description']}" for each in violations) or statuses.sentence(failure)
    headers = statuses.retry_after(failure) | rate_limit.headers(failure)
    return answer(status, detail, reason=reason, violations=violations, headers=headers, more=more)


def of_refusal(refused: RefusedRequest) -> JSONResponse:
    """Returns the response for a request that is refused here."""
    violations = []
    if refused.param:
        violations = [{"field": refused.param, "reason": str(refused.reason), "description": refused.message}]
    return answer(
        refused.status, refused.message, reason=refused.reason, violations=violations, headers=refused.headers
    )


def answer(
    status: int,
    detail: str,
    *,
    reason: str,
    violations: Sequence[Mapping[str, str]] = (),
    headers: Mapping[str, str] | None = None,
    more: Mapping[str, Any] | None = None,
) -> JSONResponse:
    """Returns a problem that no cache keeps."""
    found: dict[str, Any] = {
        "type": f"{TYPES}{reason}",
        "title": reason.replace("_", " ").capitalize(),
        "status": status,
        "detail": detail,
        "reason": str(reason),
    }
    if violations:
        found["violations"] = list(violations)
    kept = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"} | dict(headers or {})
    if status == 401:
        kept["WWW-Authenticate"] = "Bearer"
    if status == 503:
        kept.setdefault("Retry-After", "1")
    return JSONResponse(found | dict(more or {}), status, kept, MEDIA_TYPE)


def json_path(field: str) -> str:
    """Returns the path of a field in the spelling of JSON: `spec.imageToVideo.prompt`."""
    first, *rest = field.split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in rest)


def failed(request: Request, failure: Failure) -> JSONResponse:
    """Answers a request whose call failed."""
    return of_failure(failure)


def refused(request: Request, refusal: RefusedRequest) -> JSONResponse:
    """Answers a request that is refused here."""
    return of_refusal(refusal)


INTERNAL = Failure(grpc.StatusCode.INTERNAL, statuses.UNEXPECTED)
"""A fault of this process."""
