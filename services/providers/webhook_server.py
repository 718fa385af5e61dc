"""A very small HTTP/1.1 server for webhooks: takes one POST with a small body, answers with a status, closes.

Put a TLS proxy before it; the signature decides whether a webhook is accepted.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from http import HTTPStatus

import h11

log = logging.getLogger(__name__)

BODY_BYTES = 1 << 20
REQUEST_S = 10.0
CONNECTIONS = 200

Take = Callable[[str, Mapping[str, str], bytes], int]
"""From path, headers (names in lower case) and body to the status of the answer."""


class WebhookServer:
    """A listening socket."""

    def __init__(self, take: Take) -> None:
        self._take = take
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()

    async def start(self, host: str, port: int) -> int:
        """Begins to listen and returns the port. Raises OSError."""
        self._server = await asyncio.start_server(self._serve, host, port)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Stops listening, and closes the open connections."""
        if self._server is not None:
            self._server.close()
        for each in self._open:
            each.cancel()
        if self._open:
            await asyncio.wait(self._open)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            status = 503
            if len(self._open) <= CONNECTIONS:
                async with asyncio.timeout(REQUEST_S):
                    status = await self._status(reader)
            if status >= 400:
                host, port = writer.get_extra_info("peername", ("", 0))[:2]
                log.info("refused", extra={"method": "webhook", "code": str(status), "peer": f"{host}:{port}"})
            writer.write(_answer(status))
            await writer.drain()
        except (TimeoutError, OSError):
            log.debug("webhook connection broke")
        finally:
            self._open.discard(task)
            writer.close()

    async def _status(self, reader: asyncio.StreamReader) -> int:
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=16 * 1024)
        request: h11.Request | None = None
        body = bytearray()
        try:
            while True:
                event = connection.next_event()
                if event is h11.NEED_DATA:
                    connection.receive_data(await reader.read(64 * 1024))
                elif isinstance(event, h11.Request):
                    request = event
                    if event.method != b"POST":
                        return 405
                elif isinstance(event, h11.Data):
                    body += event.data
                    if len(body) > BODY_BYTES:
                        return 413
                elif isinstance(event, h11.EndOfMessage) and request is not None:
                    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in request.headers}
                    return self._take(request.target.decode("latin-1"), headers, bytes(body))
                else:
                    return 400
        except h11.RemoteProtocolError:
            return 400


def _answer(status: int) -> bytes:
    line = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
    length = "" if status == 204 else "content-length: 0\r\n"
    return (line + length + "connection: close\r\n\r\n").encode()
