"""Refusals: a status of HTTP and a sentence as plain text."""

import math

import grpc
from starlette.responses import PlainTextResponse

from services.reasons import AccessReason
from services.rpc.status_codes import Failure

BUSY = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.DEADLINE_EXCEEDED)
WRONG = "The URL was altered, or was not made by this service."


def refusal(status: int, sentence: str, **headers: str) -> PlainTextResponse:
    """Returns a response that no cache keeps; an underscore in a header's name stands for a hyphen."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return PlainTextResponse(f"{sentence}\n", status, {"Cache-Control": "no-store"} | named)


def of_failure(failure: Failure) -> PlainTextResponse:
    """Returns the response for a call that the API refused."""
    if failure.reason == AccessReason.SIGNED_URL_EXPIRED:
        return refusal(410, failure.message)
    if failure.code is grpc.StatusCode.UNAUTHENTICATED:
        return refusal(403, failure.message)
    if failure.code is grpc.StatusCode.NOT_FOUND:
        return refusal(404, "What this URL named was deleted.")
    if failure.code in BUSY:
        seconds = max(1, math.ceil(failure.retry_after_s or 1))
        return refusal(503, "The service is busy or away. Try again.", Retry_After=str(seconds))
    return refusal(502, "The service did not answer as expected.")
