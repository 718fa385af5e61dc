"""Endpoint: `/socket.io/` over WebSocket and by polling, within limits of rate and size."""

import logging
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.reasons import HttpReason, SocketReason
from services.studio import problem
from services.studio.framing import Framed
from services.studio.http_connection import WEB_SOCKETS
from services.studio.refused_request import RefusedRequest
from services.studio.request_body import Bodies, Chunks
from services.studio.socket.meter import Meter
from services.studio.socket.server import MESSAGE_BYTES_MOST, TRANSPORT, Server
from services.studio.socket.web_socket import HELLO_BYTES_MOST

log = logging.getLogger(__name__)

MESSAGES_A_SECOND, MESSAGES_MOST = 100.0, 400.0
"""Of a connection: events and pings."""
BYTES_A_SECOND, BYTES_MOST = 2.0 * 2**20, 48.0 * 2**20
POLICY_VIOLATED = 1008
FIELDS_MOST = 50
"""Of a query."""
PACKETS = tuple("123456")
ACKNOWLEDGEMENT = 0.1
"""What one counts, of a message."""


class Endpoint:
    """Serves the path, and leaves all others to another application."""

    def __init__(self, server: Server, bodies: Bodies, most: int, others: ASGIApp) -> None:
        self._server, self._bodies, self._most, self._others = server, bodies, most, others
        self._polling = Framed(self._poll)
        self._web_socket = Framed(self._open)
        self._meters: dict[str, tuple[Meter, Meter]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request, or serves a connection."""
        if scope["type"] == "websocket":
            await self._web_socket(scope, receive, send)
        elif scope["path"] == WEB_SOCKETS:
            await self._polling(scope, receive, send)
        else:
            await self._others(scope, receive, send)

    async def _open(self, scope: Scope, receive: Receive, send: Send) -> None:
        refused = self._refusal(scope)
        if refused is not None:
            await refused(scope, receive, send)
            return
        if (sid := _sid(scope)) in self._server.eio.sockets:
            self._server.note_web_socket(sid, scope)
        messages, sizes = _meters()

        async def metered() -> Message:
            message = await receive()
            if message["type"] != "websocket.receive":
                return message
            data = message.get("bytes") or message.get("text") or ""
            if messages.take(_weight(data[:2])) and sizes.take(len(data)) and _is_packet(data):
                return message
            log.info("a connection sends too much, or no packets")
            await send({"type": "websocket.close", "code": POLICY_VIOLATED})
            return {"type": "websocket.disconnect", "code": POLICY_VIOLATED}

        try:
            await self._server.eio.handle_request(scope, metered, send)
        finally:
            await self._server.end_transport(scope.get(TRANSPORT, ""))

    async def _poll(self, scope: Scope, receive: Receive, send: Send) -> None:
        refused = self._refusal(scope)
        if refused is not None:
            await refused(scope, receive, send)
            return
        if scope["method"] != "POST":
            await self._server.eio.handle_request(scope, receive, _hardened(send))
            return
        try:
            request, sid = Request(scope, receive), _sid(scope)
            if sid not in self._server.eio.sockets:
                await self._server.eio.handle_request(scope, _replayed(b""), _hardened(send))
                return
            most = MESSAGE_BYTES_MOST if self._server.knows(sid) else HELLO_BYTES_MOST
            async with self._bodies.of(request, sid, _whole, most) as body:
                await self._take(sid, body)
                await self._server.eio.handle_request(scope, _replayed(body), _hardened(send))
        except RefusedRequest as error:
            await problem.of_refusal(error)(scope, receive, send)

    async def _take(self, sid: str, body: bytes) -> None:
        """Raises RefusedRequest, and closes the connection, if it sends too much."""
        if sid not in self._meters:
            self._meters = {name: kept for name, kept in self._meters.items() if name in self._server.eio.sockets}
            self._meters[sid] = _meters()
        messages, sizes = self._meters[sid]
        weight = sum(_weight(each[:2]) for each in body.split(b"\x1e"))
        if not (messages.take(weight) and sizes.take(len(body))):
            await self._server.end_transport(sid)
            sentence = "Messages come faster than they are taken. The connection is closed."
            raise RefusedRequest(sentence, reason=SocketReason.EVENTS_TOO_FAST, status=429)

    def _refusal(self, scope: Scope) -> Response | None:
        """Returns why a request is refused; None: it is not."""
        fields = _fields(scope)
        if fields is None:
            sentence = f"The query is no text, or has more than {FIELDS_MOST} fields."
            return problem.answer(400, sentence, reason=HttpReason.FIELD_UNKNOWN)
        if "j" in fields:
            sentence = "Answers are no scripts here. Poll without JSONP."
            return problem.answer(400, sentence, reason=HttpReason.FIELD_UNKNOWN)
        if "sid" not in fields and self._server.connections >= self._most:
            sentence = f"This server has {self._most} connections open, the most allowed. Connect again later."
            headers = {"Retry-After": "1"}
            return problem.answer(503, sentence, reason=SocketReason.SOCKETS_FULL, headers=headers)
        return None


def _hardened(send: Send) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            more = [(b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff")]
            message = {**message, "headers": [*message.get("headers", ()), *more]}
        await send(message)

    return sent


def _replayed(body: bytes) -> Receive:
    """Returns what gives a body that was read, and then that the client has gone."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Message:
        return messages.pop() if messages else {"type": "http.disconnect"}

    return receive


async def _whole(request: Request, chunks: Chunks) -> bytes:
    body = bytearray()
    async for chunk in chunks:
        body += chunk
    return bytes(body)


def _meters() -> tuple[Meter, Meter]:
    return Meter(MESSAGES_A_SECOND, MESSAGES_MOST), Meter(BYTES_A_SECOND, BYTES_MOST)


def _weight(head: str | bytes) -> float:
    """Returns what a message counts: this process decides how many acknowledgements come."""
    return ACKNOWLEDGEMENT if head in ("43", b"43") else 1.0


def _is_packet(data: str | bytes) -> bool:
    """Returns whether a message is a packet of Engine.IO: the library breaks off at others."""
    return isinstance(data, bytes) or data[:1] in PACKETS


def _sid(scope: Scope) -> str:
    """Returns the id of a transport that a request names; empty: it names none."""
    return str((_fields(scope) or {}).get("sid", [""])[0])


def _fields(scope: Scope) -> dict[str, list[str]] | None:
    """Returns the fields of the query, as the library reads them; None: there are too many, or it is no text."""
    try:
        return parse_qs(scope["query_string"].decode(), max_num_fields=FIELDS_MOST)
    except ValueError:
        return None
