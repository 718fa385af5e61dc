"""A channel that counts its calls and their messages.

Not an interceptor: those of grpc.aio replace the call by one that behaves differently. Messages are counted where they
are encoded and decoded.
"""

from collections.abc import Callable
from functools import cache
from types import TracebackType
from typing import Any, Self

import grpc

from services.rpc.client_metrics import ClientMethod, ClientMetrics
from services.rpc.telemetry import KINDS

METHODS = {
    kind: f"{'stream' if asks else 'unary'}_{'stream' if answers else 'unary'}"
    for (asks, answers), kind in KINDS.items()
}
"""The methods of a channel by `grpc_type`."""


class CountedChannel(grpc.aio.Channel):
    """Passes everything on to a channel, and counts."""

    def __init__(self, channel: grpc.aio.Channel, metrics: ClientMetrics) -> None:
        self._channel, self._metrics = channel, metrics

    def _method(
        self,
        kind: str,
        method: str,
        request_serializer: Callable[[Any], bytes] | None = None,
        response_deserializer: Callable[[bytes], Any] | None = None,
        **named: Any,
    ) -> Callable[..., Any]:
        @cache
        def counted() -> ClientMethod:
            """Only a method that is called has series; a stub has many more."""
            return ClientMethod(self._metrics, method, kind)

        def encode(message: Any) -> bytes:
            counted().sent.inc()
            return message if request_serializer is None else request_serializer(message)

        def decode(data: bytes) -> Any:
            counted().received.inc()
            return data if response_deserializer is None else response_deserializer(data)

        inner = getattr(self._channel, METHODS[kind])(method, encode, decode, **named)

        def call(*given: Any, **options: Any) -> Any:
            made = inner(*given, **options)
            counted().watch(made)
            return made

        return call

    def unary_unary(self, *arguments: Any, **named: Any) -> Any:
        """Returns a method for a stub."""
        return self._method("unary", *arguments, **named)

    def unary_stream(self, *arguments: Any, **named: Any) -> Any:
        """Returns a method for a stub."""
        return self._method("server_stream", *arguments, **named)

    def stream_unary(self, *arguments: Any, **named: Any) -> Any:
        """Returns a method for a stub."""
        return self._method("client_stream", *arguments, **named)

    def stream_stream(self, *arguments: Any, **named: Any) -> Any:
        """Returns a method for a stub."""
        return self._method("bidi_stream", *arguments, **named)

    async def close(self, grace: float | None = None) -> None:
        """Closes the channel; calls may go on for `grace` seconds."""
        await self._channel.close(grace)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """Returns the state of the connection."""
        return self._channel.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """Returns when the state is another one."""
        await self._channel.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        """Returns when there is a connection."""
        await self._channel.channel_ready()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
