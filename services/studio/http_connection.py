"""HttpConnection: a connection of the HTTP server that a response can break off."""

import asyncio
import socket
import struct
from functools import partial
from typing import Any

from starlette.types import Scope

from services.studio.head_limit import HeadLimited

ABORT = "abort"
WEB_SOCKETS = "/socket.io/"
"""The only path that has WebSockets."""


class HttpConnection(HeadLimited):
    """Parses HTTP by h11, which is strict about what it takes for a request."""

    def connection_made(self, transport: Any) -> None:
        """Hands responses what breaks the connection off."""
        self.app_state = {**self.app_state, ABORT: partial(_abort, transport)}
        super().connection_made(transport)

    def _should_upgrade(self) -> bool:
        """Returns whether a request becomes a WebSocket; at other paths it stays a request."""
        return self.scope["path"] == WEB_SOCKETS and super()._should_upgrade()

    def handle_websocket_upgrade(self, event: Any) -> None:
        """Ends the wait for requests."""
        self._end_wait()
        super().handle_websocket_upgrade(event)


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
