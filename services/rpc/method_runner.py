"""Runs a servicer's method, of any of gRPC's four kinds, on the messages of one call."""

import inspect
from collections.abc import Awaitable, Callable
from contextlib import aclosing, closing
from typing import Any

from services.rpc.request_messages import RequestMessages
from services.rpc.response_messages import ResponseMessages

Context = Any
"""grpc.aio's ServicerContext."""
Handler = Any
"""grpc.RpcMethodHandler of any two messages."""
MethodRunner = Callable[[RequestMessages, Context], Awaitable[Any]]
"""Runs one call. Returns the response of a method that has a single one; writes those of a stream."""


def method_runner(
    handler: Handler, *, sent: Callable[[], None], rejected: Callable[[str], None], taking_s: float
) -> MethodRunner:
    """Returns what runs the calls of a method. Writes of a stream are counted and have a time limit, `taking_s`.

    Raises TypeError for a stream of responses that is not an async generator: its writes would have no time limit.
    """
    streams_requests = handler.request_streaming
    method: Callable[[Any, Context], Any] = {
        (False, False): handler.unary_unary,
        (True, False): handler.stream_unary,
        (False, True): handler.unary_stream,
        (True, True): handler.stream_stream,
    }[streams_requests, handler.response_streaming]

    async def run_unary(requests: RequestMessages, context: Context) -> Any:
        request = requests if streams_requests else await requests.single()
        response = await method(request, context)
        sent()
        return response

    async def run_stream(requests: RequestMessages, context: Context) -> None:
        request = requests if streams_requests else await requests.single()
        with closing(ResponseMessages(context, sent=sent, rejected=rejected, taking_s=taking_s)) as stream:
            async with aclosing(method(request, context)) as responses:
                async for response in responses:
                    await stream.write(response)

    if not handler.response_streaming:
        return run_unary
    if not inspect.isasyncgenfunction(method):
        raise TypeError(f"{method!r} has a stream of responses and must be an async generator")
    return run_stream
