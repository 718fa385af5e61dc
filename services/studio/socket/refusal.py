"""What `error` says: why something was refused, or failed. Pure."""

from typing import Any

import grpc

from services.reasons import HttpReason
from services.rpc.status_codes import Failure
from services.studio import statuses
from services.studio.api_error import ApiError
from services.studio.refusal import BUSY
from services.studio.refused_request import RefusedRequest
from services.studio.videos.error_json import FIELDS

OWN_FIELDS = {"input_reference": "image_data", "input_reference.image_url": "image_data"}
"""Fields of the events by those of videos over HTTP."""
Refusal = dict[str, Any]


def of(error: ApiError | RefusedRequest, job_id: str = "") -> Refusal:
    """Returns what is said of an error."""
    if isinstance(error, ApiError):
        return of_failure(error.failure, job_id)
    return refusal(error.message, error.reason, error.param, job_id)


def of_failure(failure: Failure, job_id: str = "") -> Refusal:
    """Returns what is said of a call that the API refused: without words of gRPC."""
    first = failure.violations[0] if failure.violations else None
    field = FIELDS.get(first.field, first.field) if first else ""
    reason = (first.reason if first else "") or failure.reason
    if not reason:
        reason = HttpReason.API_UNAVAILABLE if failure.code in BUSY else HttpReason.API_FAILED
    said = refusal(first.description if first else statuses.sentence(failure), reason, field, job_id)
    if failure.retry_after_s is not None:
        said["retry_after_s"] = failure.retry_after_s
    return said


def refusal(message: str, reason: str, field: str = "", job_id: str = "") -> Refusal:
    """Returns what is said. What is empty is null: the field is then the event as a whole."""
    return {
        "message": message,
        "reason": str(reason),
        "field": OWN_FIELDS.get(field, field) or None,
        "job_id": job_id or None,
    }


INTERNAL = Failure(grpc.StatusCode.INTERNAL, statuses.UNEXPECTED)
"""A fault of this process."""
