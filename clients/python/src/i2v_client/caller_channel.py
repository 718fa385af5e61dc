"""The channel that stubs are made with: the newest connection for each call, in the trace of the program that calls.

It wraps the methods of stubs. Interceptors of grpc.aio would change the calls themselves, and lose some of their ends.
"""

from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

import grpc

from i2v_client import caller_span
from i2v_client.connections import Connection, Connections


class CallerChannel(grpc.aio.Channel):
    """Calls over connections."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections

    def _method(self, kind: str, method: str, arguments: tuple[Any, ...], named: dict[str, Any]) -> Callable[..., Any]:
        """Returns what a stub calls: the method of the newest channel, looked up once for each channel."""
        current: Connection | None = None
        call: Callable[..., Any] = NotImplemented

        def begin(*given: Any, metadata: Any = None, **options: Any) -> Any:
            nonlocal current, call
            if (newest := self._connections.newest()) is not current:
                current, call = newest, getattr(newest.channel, kind)(method, *arguments, **named)
            span = caller_span.begin(method)
            if span is None:
                made = call(*given, metadata=metadata, **options)
            else:
                try:
                    made = call(*given, metadata=(*(metadata or ()), *span.headers), **options)
                except BaseException as error:
                    span.failed(error)
                    raise
                made.add_done_callback(span.ended)
            self._connections.begun(newest, made)
            return made

        return begin

    def unary_unary(self, method: str, *arguments: Any, **named: Any) -> Any:
        """Returns a method for a stub."""
        return self._method("unary_unary", method, arguments, named)

    def unary_stream(self, method: str, *arguments: Any, **named: Any) -> Any:
        """Returns a method for a stub."""
        return self._method("unary_stream", method, arguments, named)

    def stream_unary(self, method: str, *arguments: Any, **named: Any) -> Any:
        """Returns a method for a stub."""
        return self._method("stream_unary", method, arguments, named)

    def stream_stream(self, method: str, *arguments: Any, **named: Any) -> Any:
        """Returns a method for a stub."""
        return self._method("stream_stream", method, arguments, named)

    async def close(self, grace: float | None = None) -> None:
        """Closes the connections; calls may go on for `grace` seconds."""
        await self._connections.close(grace)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """Returns whether there is a connection now."""
        return self._connections.newest().channel.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """Returns when the state is another one."""
        await self._connections.newest().channel.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        """Returns when there is a connection."""
        await self._connections.newest().channel.channel_ready()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
