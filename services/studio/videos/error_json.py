"""Errors as clients of OpenAI's API expect them: `{"error": {"message", "type", "param", "code"}}`."""

from collections.abc import Mapping

import grpc
from starlette.requests import Request
from starlette.responses import JSONResponse

from services.rpc.status_codes import Failure
from services.studio.idempotency import KEY
from services.studio.refused_request import RefusedRequest
from services.studio.statuses import retry_after, sentence, status_of

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


def failed(request: Request, failure: Failure) -> JSONResponse:
    """Answers a request whose call failed: without words of gRPC, and so that no job is made twice."""
    unknown = failure.code is grpc.StatusCode.NOT_FOUND or any(each.field == "name" for each in failure.violations)
    if unknown and "id" in request.path_params:
        failure = Failure(grpc.StatusCode.NOT_FOUND, "There is no such video.", failure.reason)
    response = of_failure(failure)
    if response.status_code >= 500 and request.method == "POST" and KEY not in request.headers:
        # The job may have been admitted. OpenAI's clients, which send again by themselves, would make another one.
        response.headers["X-Should-Retry"] = "false"
    return response


def refused(request: Request, refusal: RefusedRequest) -> JSONResponse:
    """Answers a request that is refused here."""
    return of_refusal(refusal)


def of_failure(failure: Failure) -> JSONResponse:
    """Returns the response for a call that the API refused."""
    status = status_of(failure)
    first = failure.violations[0] if failure.violations else None
    param = FIELDS.get(first.field, first.field) if first else ""
    message = f"{param}: {first.description}" if first else sentence(failure)
    code = (first.reason if first else "") or failure.reason or failure.code.name
    return answer(status, message, param=param, code=code, headers=retry_after(failure))


def of_refusal(refused: RefusedRequest) -> JSONResponse:
    """Returns the response for a request that is refused here."""
    return answer(refused.status, refused.message, param=refused.param, code=refused.reason, headers=refused.headers)


def answer(
    status: int, message: str, *, param: str = "", code: str = "", headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """Returns an error that no cache keeps."""
    kind = TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    kept = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"} | dict(headers or {})
    if status == 401:
        kept["WWW-Authenticate"] = "Bearer"
    if status == 503:
        kept.setdefault("Retry-After", "1")
    error = {"message": message, "type": kind, "param": param or None, "code": code or None}
    return JSONResponse({"error": error}, status, kept)
