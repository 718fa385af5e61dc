"""A channel by TLS that connects again when its certificate or its authorities are replaced in their files."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import grpc

from services.certificates.certificate_files import CertificateFiles, Material


@dataclass(slots=True, eq=False)
class _Connections:
    """A channel with the contents of the files at one time."""

    channel: grpc.aio.Channel
    made_with: Material
    calls: int = 0
    """Those that are open."""


class RotatingChannel(grpc.aio.Channel):
    """Calls go over a channel with the newest files, which are looked at when a call begins; older calls go on."""

    def __init__(self, target: str, options: Sequence[tuple[str, Any]], files: CertificateFiles) -> None:
        self._target, self._options, self._files = target, options, files
        self._newest = self._open(files.current())
        self._old: set[_Connections] = set()
        self._closing: set[asyncio.Task[None]] = set()

    def _open(self, found: Material) -> _Connections:
        credentials = grpc.ssl_channel_credentials(found.authorities or None, found.key or None, found.chain or None)
        return _Connections(grpc.aio.secure_channel(self._target, credentials, options=self._options), found)

    def _current(self) -> _Connections:
        if (found := self._files.current()) is not self._newest.made_with:
            old, self._newest = self._newest, self._open(found)
            self._old.add(old)
            self._close_if_unused(old)
        return self._newest

    def _close_if_unused(self, connections: _Connections) -> None:
        if connections in self._old and not connections.calls:
            self._old.remove(connections)
            closing = asyncio.create_task(connections.channel.close(), name="old-connections")
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    def _method(self, kind: str, arguments: tuple[Any, ...], named: dict[str, Any]) -> Callable[..., Any]:
        """Returns what a stub calls: the method of the current channel, looked up once for each channel."""
        current: _Connections | None = None
        method: Callable[..., Any] | None = None

        def call(*given: Any, **options: Any) -> Any:
            nonlocal current, method
            if (newest := self._current()) is not current or method is None:
                current, method = newest, getattr(newest.channel, kind)(*arguments, **named)
            made = method(*given, **options)
            newest.calls += 1
            made.add_done_callback(lambda _: self._ended(newest))
            return made

        return call

    def _ended(self, connections: _Connections) -> None:
        connections.calls -= 1
        self._close_if_unused(connections)

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
        every, self._old = [self._newest, *self._old], set()
        await asyncio.gather(*(each.channel.close(grace) for each in every), *self._closing)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        """Returns whether there is a connection now."""
        return self._newest.channel.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        """Returns when the state is another one."""
        await self._newest.channel.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        """Returns when there is a connection."""
        await self._newest.channel.channel_ready()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
