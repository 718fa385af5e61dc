"""The bytes that a call of the API streams."""

from collections.abc import AsyncGenerator, Callable
from typing import Any

import grpc

from services.rpc.status_codes import from_call
from services.studio.api_error import ApiError


async def chunks(begin: Callable[[], Any]) -> AsyncGenerator[bytes, None]:
    """Begins a call, yields its bytes, and ends the call with them. Raises ApiError."""
    call = begin()
    try:
        async for response in call:
            yield response.data
    except grpc.aio.AioRpcError as error:
        raise ApiError(from_call(error)) from error
    finally:
        call.cancel()
