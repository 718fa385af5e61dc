"""Server: the library's server of Socket.IO, where a connection has one caller, who soon says who it is."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import socketio
from starlette.types import Scope

from services.studio.socket.packet import BoundedJson, Packet
from services.studio.socket.web_socket import TRUST

MESSAGE_BYTES_MOST = 15 * 2**20
"""A picture of 10 MB in base64, and the fields around it."""
HANDSHAKE_S = 10.0
"""Seconds in which a connection must say who calls."""
HANDSHAKES_MOST = 3
TRANSPORT = "i2v.transport"
"""Where the scope of a request has the id of the transport that it opened."""

_quiet = logging.getLogger(f"{__name__}.library")
_quiet.setLevel(logging.CRITICAL + 1)  # it logs what clients send, and a traceback for what cannot be read


class Server(socketio.AsyncServer):  # type: ignore[misc]  # the library has no types
    """Serves connections."""

    def __init__(
        self,
        origins: Sequence[str],
        entered: Callable[[str], Awaitable[None]],
        left: Callable[[str], Awaitable[None]],
    ) -> None:
        """`entered` is called with the id of a connection whose caller is known, `left` with that of one that ended.

        `origins` are those of other pages that may connect; `*`: any.
        """
        super().__init__(
            async_mode="asgi",
            serializer=Packet,
            json=BoundedJson,
            cors_allowed_origins=lambda origin, environ: may_connect(origin, environ, origins),
            cors_credentials=False,
            max_http_buffer_size=MESSAGE_BYTES_MOST,
            http_compression=False,
            logger=_quiet,
            engineio_logger=_quiet,
        )
        self._entered, self._left = entered, left
        self._unknown: dict[str, tuple[asyncio.TimerHandle, int]] = {}
        """Connections without a caller, with the end of their patience and their failed attempts."""
        self._known: set[str] = set()
        """Transports of known callers."""
        self._trust: dict[str, Callable[[], None]] = {}
        """What lets the WebSocket of a transport send large messages, from when its caller is known."""

    async def end(self, sid: str) -> None:
        """Closes a connection: its client connects again."""
        await self.end_transport(self.manager.eio_sid_from_sid(sid, "/"))

    async def end_transport(self, eio_sid: str) -> None:
        """Closes a connection by the id of its transport."""
        connection = self.eio.sockets.get(eio_sid)
        if connection is not None:
            await connection.close(wait=False, reason=self.reason.SERVER_DISCONNECT)
            self.eio.sockets.pop(eio_sid, None)

    def knows(self, eio_sid: str) -> bool:
        """Returns whether it is known who calls by a transport."""
        return eio_sid in self._known

    def note_web_socket(self, eio_sid: str, scope: Scope) -> None:
        """Lets the WebSocket of a transport send large messages as soon as its caller is known."""
        trust = scope.get("state", {}).get(TRUST)
        if trust is not None:
            self._trust[eio_sid] = trust
            if eio_sid in self._known:
                trust()

    def waiting(self, sid: str) -> int:
        """Returns how many packets wait until a client takes them."""
        connection = self.eio.sockets.get(self.manager.eio_sid_from_sid(sid, "/"))
        return 0 if connection is None else int(connection.queue.qsize())

    @property
    def connections(self) -> int:
        """How many there are."""
        return len(self.eio.sockets)

    async def _handle_eio_connect(self, eio_sid: str, environ: Any) -> None:
        await super()._handle_eio_connect(eio_sid, environ)
        environ["asgi.scope"][TRANSPORT] = eio_sid
        self.note_web_socket(eio_sid, environ["asgi.scope"])
        self._wait(eio_sid, 0)

    async def _handle_connect(self, eio_sid: str, namespace: str | None, data: Any) -> None:
        if (namespace or "/") == "/":
            if eio_sid not in self._unknown:
                return  # a connection has one caller
            timer, attempts = self._unknown.pop(eio_sid)
            timer.cancel()
        await super()._handle_connect(eio_sid, namespace, data)
        if (namespace or "/") != "/":
            return
        sid = self.manager.sid_from_eio_sid(eio_sid, "/")
        if sid is not None and self.manager.is_connected(sid, "/"):
            self._known.add(eio_sid)
            if (trust := self._trust.get(eio_sid)) is not None:
                trust()
            await self._entered(sid)
        elif attempts + 1 >= HANDSHAKES_MOST:
            await self.end_transport(eio_sid)
        else:
            self._wait(eio_sid, attempts + 1)

    async def _handle_eio_disconnect(self, eio_sid: str, reason: Any) -> None:
        if eio_sid in self._unknown:
            self._unknown.pop(eio_sid)[0].cancel()
        self._binary_packet.pop(eio_sid, None)
        self._known.discard(eio_sid)
        self._trust.pop(eio_sid, None)
        connection = self.eio.sockets.get(eio_sid)
        if connection is not None and not connection.upgraded:
            connection.queue.put_nowait(None)  # answers a poll that waits
        sid = self.manager.sid_from_eio_sid(eio_sid, "/")
        await super()._handle_eio_disconnect(eio_sid, reason)
        if sid is not None:
            await self._left(sid)

    def _wait(self, eio_sid: str, attempts: int) -> None:
        if eio_sid not in self.eio.sockets:
            return
        timer = asyncio.get_running_loop().call_later(
            HANDSHAKE_S, lambda: self.start_background_task(self.end_transport, eio_sid)
        )
        self._unknown[eio_sid] = timer, attempts


def may_connect(origin: str | None, environ: Mapping[str, Any], origins: Sequence[str]) -> bool:
    """Returns whether a page of this origin may connect: one of ours, or one that the settings name."""
    if not origin or "*" in origins or origin in origins:
        return True
    return urlsplit(origin).netloc == environ.get("HTTP_HOST")
