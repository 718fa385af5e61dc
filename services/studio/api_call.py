"""A call of the API with one answer."""

from typing import Any

import grpc

from services.rpc.status_codes import from_call
from services.studio.api_error import ApiError


async def answer(method: Any, request: Any, metadata: Any, timeout_s: float) -> Any:
    """Returns the answer to a request. Raises ApiError."""
    try:
        return await method(request, metadata=metadata, timeout=timeout_s)
    except grpc.aio.AioRpcError as error:
        raise ApiError(from_call(error)) from error
