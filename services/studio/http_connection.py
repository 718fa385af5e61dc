"""HttpConnection: a connection of the HTTP server that a response can break off."""

import asyncio
import fcntl
import socket
import struct
import sys
import termios
from functools import partial
from typing import Any

from starlette.types import Scope

from services.studio.head_limit import HeadLimited

ABORT = "abort"
WEB_SOCKETS = "/socket.io/"
"""The only path that has WebSockets."""


class HttpConnection(HeadLimited):
    """Parses HTTP by h11, which is strict about what it takes for a request.

    A reader that takes nothing of any response loses its connection. Bodies that are streamed see to it themselves, and
    sooner: they say so in metrics and logs.
    """

    look_s = 120.0
    """Seconds between two looks at what waits to be taken; if it is the same, the connection is broken off."""

    _look_timer: asyncio.TimerHandle | None = None
    _pauses = 0
    """How often so much waited that no more was written."""
    _seen: tuple[int, int] | None = None
    """Pauses and waiting bytes at the last look; None: then more could be written at any time."""

    def connection_made(self, transport: Any) -> None:
        """Hands responses what breaks the connection off."""
        self.app_state = {**self.app_state, ABORT: partial(_abort, transport)}
        super().connection_made(transport)
        self._look_timer = self.loop.call_later(self.look_s, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends the looks."""
        if self._look_timer is not None:
            self._look_timer.cancel()
        super().connection_lost(exc)

    def _should_upgrade(self) -> bool:
        """Returns whether a request becomes a WebSocket; at other paths it stays a request."""
        return self.scope["path"] == WEB_SOCKETS and super()._should_upgrade()

    def handle_websocket_upgrade(self, event: Any) -> None:
        """Ends the wait for requests, and the looks."""
        self._end_wait()
        if self._look_timer is not None:
            self._look_timer.cancel()
        super().handle_websocket_upgrade(event)

    def pause_writing(self) -> None:
        """Counts the pauses."""
        self._pauses += 1
        super().pause_writing()

    def _look(self) -> None:
        waiting, seen, self._seen = self.transport.get_write_buffer_size(), self._seen, None
        # Nothing is added in a pause or before the end: so what is not less has not been taken.
        if waiting and (self.flow.write_paused or self.transport.is_closing()):
            waiting += _in_kernel(self.transport)
            self._seen = self._pauses, waiting
            if seen is not None and seen[0] == self._pauses and waiting >= seen[1]:
                _abort(self.transport)
                return
        self._look_timer = self.loop.call_later(self.look_s, self._look)


def connections(stall_s: float) -> type[HttpConnection]:
    """Returns the connections of a server whose readers may take nothing for at most four times `stall_s`."""
    return type("Connection", (HttpConnection,), {"look_s": 2 * stall_s})


def _in_kernel(transport: Any) -> int:
    """Returns the bytes that the kernel has of a connection, and the reader has not taken."""
    given = fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, bytes(4))
    return int.from_bytes(given, sys.byteorder)


def _abort(transport: Any) -> None:
    """Drops what waits to be sent, also in the kernel: a reader may let it wait for days."""
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def abort(scope: Scope) -> None:
    """Breaks the connection of a request off at once.

    A connection that is only closed waits until its reader has taken what it holds: one that takes nothing never does.
    """
    breaks_off = scope.get("state", {}).get(ABORT)
    if breaks_off is not None:
        asyncio.get_running_loop().call_soon(breaks_off)
