"""Connections to the servers. They are made again when the TLS files have changed; calls that are open go on."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import grpc

from i2v_client.tls_files import TlsMaterial, TlsSource


@dataclass(slots=True, eq=False)
class Connection:
    """A channel with the contents of the files at one time."""

    channel: grpc.aio.Channel
    made_with: TlsMaterial | None
    calls: int = 0
    """Those that are open."""


class Connections:
    """The newest connection, and older ones that still have calls."""

    def __init__(self, target: str, options: Sequence[tuple[str, Any]], tls: bool | TlsSource) -> None:
        self._target, self._options = target, options
        self._secure = bool(tls)
        self._source = None if isinstance(tls, bool) else tls
        self._newest = self._open(self._source.current() if self._source else None)
        self._old: set[Connection] = set()
        self._closing: set[asyncio.Task[None]] = set()

    def _open(self, found: TlsMaterial | None) -> Connection:
        if not self._secure:
            return Connection(grpc.aio.insecure_channel(self._target, self._options), None)
        parts = (found.authorities or None, found.key or None, found.chain or None) if found else ()
        credentials = grpc.ssl_channel_credentials(*parts)
        return Connection(grpc.aio.secure_channel(self._target, credentials, self._options), found)

    def newest(self) -> Connection:
        """Returns the connection for a new call."""
        if self._source is not None and (found := self._source.current()) is not self._newest.made_with:
            old, self._newest = self._newest, self._open(found)
            self._old.add(old)
            self._close_if_unused(old)
        return self._newest

    def begun(self, connection: Connection, call: Any) -> None:
        """Notes an open call of a connection."""
        if self._source is not None:
            connection.calls += 1
            call.add_done_callback(lambda _: self._ended(connection))

    def _ended(self, connection: Connection) -> None:
        connection.calls -= 1
        self._close_if_unused(connection)

    def _close_if_unused(self, connection: Connection) -> None:
        if connection in self._old and not connection.calls:
            self._old.remove(connection)
            closing = asyncio.get_running_loop().create_task(connection.channel.close(), name="old-connections")
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    async def close(self, grace: float | None = None) -> None:
        """Closes all; calls may go on for `grace` seconds."""
        every, self._old = [self._newest, *self._old], set()
        await asyncio.gather(*(each.channel.close(grace) for each in every), *self._closing)
