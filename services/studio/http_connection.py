"""HttpConnection: a connection of the HTTP server that a response can break off."""

import asyncio
from functools import partial
from typing import Any

from starlette.types import Scope

from services.studio.head_limit import HeadLimited
from services.studio.unread import Unread, break_off

ABORT, LOOK_S = "abort", "look_s"
"""Names in the state of a connection: what breaks it off, and the seconds between two looks at its reader."""
WEB_SOCKETS = "/socket.io/"
"""The only path that has WebSockets."""


class HttpConnection(HeadLimited):
    """Parses HTTP by h11, which is strict about what it takes for a request.

    A reader that takes nothing of any response loses its connection. Bodies that are streamed see to it themselves, and
    sooner: they say so in metrics and logs.
    """

    look_s = 120.0
    """Seconds between two looks at what waits to be taken; if it is the same, the connection is broken off."""

    _unread: Unread | None = None

    def connection_made(self, transport: Any) -> None:
        """Hands responses what breaks the connection off."""
        self.app_state = {**self.app_state, ABORT: partial(break_off, transport)}
        super().connection_made(transport)
        self._unread = Unread(self.loop, transport, self.look_s, lambda: self.flow.write_paused)

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends the looks."""
        self._end_looks()
        super().connection_lost(exc)

    def _should_upgrade(self) -> bool:
        """Returns whether a request becomes a WebSocket; at other paths it stays a request."""
        return self.scope["path"] == WEB_SOCKETS and super()._should_upgrade()

    def handle_websocket_upgrade(self, event: Any) -> None:
        """Ends the wait for requests, and the looks, which the WebSocket continues."""
        self._end_wait()
        self._end_looks()
        self.app_state = {**self.app_state, LOOK_S: self.look_s}
        super().handle_websocket_upgrade(event)

    def pause_writing(self) -> None:
        """Counts the pauses."""
        if self._unread is not None:
            self._unread.note_pause()
        super().pause_writing()

    def _end_looks(self) -> None:
        if self._unread is not None:
            self._unread.end()


def connections(stall_s: float) -> type[HttpConnection]:
    """Returns the connections of a server whose readers may take nothing for at most four times `stall_s`."""
    return type("Connection", (HttpConnection,), {"look_s": 2 * stall_s})


def abort(scope: Scope) -> None:
    """Breaks the connection of a request off at once.

    A connection that is only closed waits until its reader has taken what it holds: one that takes nothing never does.
    """
    breaks_off = scope.get("state", {}).get(ABORT)
    if breaks_off is not None:
        asyncio.get_running_loop().call_soon(breaks_off)
