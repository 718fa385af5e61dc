"""A channel by TLS that connects again when its certificate or its authorities are replaced in their files."""

import asyncio
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

import grpc

from services.certificates.certificate_files import CertificateFiles

OLD_CALLS_S = 86_400.0
"""How long calls of the connections before a replacement may go on, in seconds."""


class RotatingChannel(grpc.aio.Channel):
    """Calls go over a channel with the newest files, which are looked at when a call begins; older calls go on."""

    def __init__(self, target: str, options: Sequence[tuple[str, Any]], files: CertificateFiles) -> None:
        self._target, self._options, self._files = target, options, files
        self._used = files.current()
        self._channel = self._open()
        self._draining: set[asyncio.Task[None]] = set()

    def _open(self) -> grpc.aio.Channel:
        found = self._used
        credentials = grpc.ssl_channel_credentials(found.authorities or None, found.key or None, found.chain or None)
        return grpc.aio.secure_channel(self._target, credentials, options=self._options)

    def _current(self) -> grpc.aio.Channel:
        if (found := self._files.current()) is not self._used:
            old, self._used = self._channel, found
            self._channel = self._open()
            draining = asyncio.create_task(old.close(OLD_CALLS_S), name="old-connections")
            self._draining.add(draining)
            draining.add_done_callback(self._draining.discard)
        return self._channel

    def _method(self, kind: str, arguments: tuple[Any, ...], named: dict[str, Any]) -> Callable[..., Any]:
        """Returns what a stub calls: the method of the current channel, looked up once for each channel."""
        channel: grpc.aio.Channel | None = None
        method: Callable[..., Any] | None = None

        def call(*given: Any, **options: Any) -> Any:
            nonlocal channel, method
            if (current := self._current()) is not channel or method is None:
                channel, method = current, getattr(current, kind)(*arguments, **named)
            return method(*given, **options)

        return call

    def unary_unary(self, *arguments: Any, **named: Any) -> Any:
        """Returns a method for a stub."""
        return self._method("unary_unary", arguments, named)

    def unary_stream(self, *arguments: Any, **named: Any) -> Any:
        """Returns a method for a stub."""
        return self._method("unary_stream", arguments, named)

    def stream_unary(self, *arguments: Any, **named: Any) -> Any:
        """Returns a method for a stub."""
        return self._method("stream_unary", arguments, named)

    def stream_stream(self, *arguments: Any, **named: Any) -> Any:
        """Returns a method for a stub."""
        return self._method("stream_stream", arguments, named)

    async def close(self, grace: float | None = None) -> None:
        """Closes the connections, those before a replacement too; calls may go on for `grace` seconds."""
        draining = list(self._draining)
        await self._channel.close(grace)
        for task in draining:
            task.cancel()
        await asyncio.gather(*draining, return_exceptions=True)

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
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
