"""The status of HTTP for each way in which a call of the API fails, and what may be said of it."""

import math

import grpc

from services.rpc.status_codes import Failure
from services.studio.refusal import BUSY

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
AWAY = "The service is busy or away. Try again."
UNEXPECTED = "The service did not answer as expected."


def status_of(failure: Failure) -> int:
    """Returns the status."""
    return STATUSES.get(failure.code, 500)


def sentence(failure: Failure) -> str:
    """Returns what a person may read. Without a reason the words are gRPC's own, which have addresses of ours."""
    if failure.reason:
        return failure.message
    return AWAY if failure.code in BUSY else UNEXPECTED


def retry_after(failure: Failure) -> dict[str, str]:
    """Returns the header `Retry-After`, in whole seconds, if time helps."""
    if failure.retry_after_s is None:
        return {}
    return {"Retry-After": str(max(1, math.ceil(failure.retry_after_s)))}
