"""Errors as clients of OpenAI's API expect them: `{"error": {"message", "type", "param", "code"}}`."""

import math

import grpc
from starlette.responses import JSONResponse

from services.rpc.status_codes import Failure
from services.studio.refusal import BUSY
from services.studio.refused_request import RefusedRequest

STATUSES = {
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.UNAUTHENTICATED: 401,
    grpc.StatusCode.PERMISSION_DENIED: 403,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.ALREADY_EXISTS: 409,
    grpc.StatusCode.ABORTED: 409,
    grpc.StatusCode.FAILED_PRECONDITION: 422,
    grpc.StatusCode.RESOURCE_EXHAUSTED: 429,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
}
"""Any other code is a fault of the service: 500."""
TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}
"""By the status; otherwise `invalid_request_error` below 500 and `server_error` from there."""
FIELDS = {
    "name": "model",
    "spec.model": "model",
    "spec.duration": "seconds",
    "spec.size": "size",
    "spec.resolution": "size",
    "spec.seed": "seed",
    "spec.image_to_video.image": "input_reference",
    "spec.image_to_video.prompt": "prompt",
    "spec.text_to_video.prompt": "prompt",
    "data": "input_reference",
    "media_type": "input_reference",
    "size_bytes": "input_reference",
    "after": "after",
    "page_size": "limit",
}
"""Fields of a request over HTTP by those of the API."""
AWAY = "The service is busy or away. Try again."
UNEXPECTED = "The service did not answer as expected."


def of_failure(failure: Failure) -> JSONResponse:
    """Returns the response for a call that the API refused."""
    status = STATUSES.get(failure.code, 500)
    first = failure.violations[0] if failure.violations else None
    param = FIELDS.get(first.field, first.field) if first else ""
    message = f"{param}: {first.description}" if first else failure.message
    if first is None and not failure.reason:  # gRPC's own words have addresses of ours
        message = AWAY if failure.code in BUSY else UNEXPECTED
    code = (first.reason if first else "") or failure.reason or failure.code.name
    headers = {}
    if failure.retry_after_s is not None:
        headers["Retry-After"] = str(max(1, math.ceil(failure.retry_after_s)))
    return answer(status, message, param=param, code=code, headers=headers)


def of_refusal(refused: RefusedRequest) -> JSONResponse:
    """Returns the response for a request that is refused here."""
    headers = {"Retry-After": "1"} if refused.status == 503 else {}
    return answer(refused.status, refused.message, param=refused.param, code=refused.reason, headers=headers)


def answer(
    status: int, message: str, *, param: str = "", code: str = "", headers: dict[str, str] | None = None
) -> JSONResponse:
    """Returns an error that no cache keeps."""
    kind = TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    error = {"message": message, "type": kind, "param": param or None, "code": code or None}
    return JSONResponse({"error": error}, status, {"Cache-Control": "no-store"} | (headers or {}))
