"""WebSocket: a connection of the WebSocket protocol. What all of them hold of unfinished messages is bounded."""

from typing import Any

from uvicorn.protocols.websockets import wsproto_impl
from wsproto import events

from services.studio.http_connection import LOOK_S
from services.studio.unread import Unread

BYTES_AT_A_TIME = 128 * 2**20
HELLO_BYTES_MOST = 64 * 1024
"""Of a message before the connection's caller is known: a token, and the jobs that go on."""
TRUST = "trust"
"""Where the state of a connection has what lets it send messages of any allowed size."""


class Held:
    """Bytes of messages, from their first one until the application asks for the next message."""

    def __init__(self, most: int = BYTES_AT_A_TIME) -> None:
        self.most, self.bytes = most, 0


class _Buffer(wsproto_impl.WebsocketBuffer):
    def __init__(self, max_length: int, held: Held) -> None:
        super().__init__(max_length)
        self._held, self._own, self._whole = held, 0, 0

    def extend(self, event: events.TextMessage | events.BytesMessage) -> None:
        before = self.length
        super().extend(event)
        self._own += self.length - before
        self._held.bytes += self.length - before
        if self._held.bytes > self._held.most:
            raise wsproto_impl.FrameTooLargeError

    def clear(self) -> None:
        self._whole += self.length
        super().clear()

    def release(self, *, everything: bool = False) -> None:
        """Gives back the messages that were taken, or everything."""
        given = self._own if everything else self._whole
        self._held.bytes -= given
        self._own, self._whole = self._own - given, 0


class WebSocket(wsproto_impl.WSProtocol):
    """A connection. A reader that takes nothing loses it, as connections of HTTP are lost."""

    held = Held()
    _unread: Unread | None = None

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.buffer: _Buffer = _Buffer(min(HELLO_BYTES_MOST, self.config.ws_max_size), self.held)
        self.app_state = {**self.app_state, TRUST: self._trust}

    def _trust(self) -> None:
        self.buffer.max_length = self.config.ws_max_size

    def connection_made(self, transport: Any) -> None:
        """Begins to look at what the reader takes."""
        super().connection_made(transport)
        self._unread = Unread(self.loop, transport, self.app_state[LOOK_S], lambda: not self.writable.is_set())

    async def receive(self) -> Any:
        """Returns the next message; the one before was handled."""
        self.buffer.release()
        return await super().receive()

    def pause_writing(self) -> None:
        """Counts the pauses."""
        if self._unread is not None:
            self._unread.note_pause()
        super().pause_writing()

    def handle_ping(self, event: events.Ping) -> None:
        """Answers a ping of the protocol, unless answers wait to be taken already: they would pile up."""
        if self.writable.is_set():
            super().handle_ping(event)

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends the connection."""
        if self._unread is not None:
            self._unread.end()
        self.buffer.release(everything=True)
        super().connection_lost(exc)
