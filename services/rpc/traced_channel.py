"""A channel whose calls are spans, and carry their context to the server.

It wraps the methods of stubs. Interceptors of grpc.aio would change the calls themselves, and lose some of their ends.
"""

from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Any, Self

import grpc

from services.rpc.ended_call import code_of
from services.rpc.telemetry import CODE_NAMES
from services.tracing import spans
from services.tracing.spans import Kind, Span


def rpc_attributes(method: str) -> dict[str, spans.Value]:
    """Returns the attributes of the calls of a method, `/package.Service/Method`."""
    service, _, name = method.lstrip("/").rpartition("/")
    return {"rpc.system": "grpc", "rpc.service": service, "rpc.method": name}


class TracedChannel(grpc.aio.Channel):
    """Calls go over a channel, each in a span if there is a current one."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel

    def _traced(self, method: str, call: Callable[..., Any]) -> Callable[..., Any]:
        name, attributes = method.lstrip("/"), rpc_attributes(method)

        def traced(*given: Any, metadata: Any = None, **options: Any) -> Any:
            span = spans.begin(name, attributes, Kind.CLIENT)
            context = span.context() or spans.current()
            if context is None:
                return call(*given, metadata=metadata, **options)
            try:
                made = call(*given, metadata=(*(metadata or ()), *context.headers), **options)
            except BaseException as error:
                span.end(error)
                raise
            if span.recorded:
                made.add_done_callback(partial(_end, span))
            return made

        return traced

    def unary_unary(self, method: str, *arguments: Any, **named: Any) -> Any:
        """Returns a method for a stub."""
        return self._traced(method, self._channel.unary_unary(method, *arguments, **named))

    def unary_stream(self, method: str, *arguments: Any, **named: Any) -> Any:
        """Returns a method for a stub."""
        return self._traced(method, self._channel.unary_stream(method, *arguments, **named))

    def stream_unary(self, method: str, *arguments: Any, **named: Any) -> Any:
        """Returns a method for a stub."""
        return self._traced(method, self._channel.stream_unary(method, *arguments, **named))

    def stream_stream(self, method: str, *arguments: Any, **named: Any) -> Any:
        """Returns a method for a stub."""
        return self._traced(method, self._channel.stream_stream(method, *arguments, **named))

    async def close(self, grace: float | None = None) -> None:
        """Closes the connections; calls may go on for `grace` seconds."""
        await self._channel.close(grace)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """Returns whether there is a connection now."""
        return self._channel.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """Returns when the state is another one."""
        await self._channel.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        """Returns when there is a connection."""
        await self._channel.channel_ready()

    async def __aenter__(self) -> Self:
        await self._channel.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._channel.__aexit__(kind, error, trace)


def _end(span: Span, call: Any) -> None:
    code = code_of(call)
    span.set("rpc.grpc.status_code", code.value[0])
    if code is grpc.StatusCode.CANCELLED:
        span.event("cancelled")
    elif code is not grpc.StatusCode.OK:
        span.fail(CODE_NAMES[code.value[0]])
    span.end()
