"""Methods whose writes would bypass the time limit are not served."""

from typing import Any

import grpc
import pytest

from services.rpc.method_runner import method_runner


async def write_directly(request: bytes, context: Any) -> None:
    await context.write(request)


@pytest.mark.parametrize("kind", [grpc.unary_stream_rpc_method_handler, grpc.stream_stream_rpc_method_handler])
def test_a_stream_of_responses_that_is_no_async_generator_is_refused(kind: Any) -> None:
    with pytest.raises(TypeError, match=r"write_directly.*must be an async generator"):
        method_runner(kind(write_directly), sent=lambda: None, rejected=lambda reason: None, taking_s=1)
