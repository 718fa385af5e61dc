"""The health port: a very small HTTP/1.1 server in the process's event loop, in plaintext, for Kubernetes' probes.

`/livez` says that the loop turns, `/startupz` that the start is done or waits for another process, and `/readyz` that
the process can do its work. The answer is 200, or 503 with one line that says why.
"""

import asyncio
import logging
from contextlib import suppress
from http import HTTPStatus

from services.readiness import Readiness

log = logging.getLogger(__name__)

HEAD_BYTES = 8 * 1024
REQUEST_S = 5.0
CONNECTIONS = 50


class HealthPort:
    """A listening socket."""

    def __init__(self, readiness: Readiness) -> None:
        self._readiness = readiness
        self._server: asyncio.Server | None = None
        self._open = 0

    async def start(self, address: str) -> int:
        """Begins to listen on `host:port` and returns the port. Raises OSError."""
        host, _, port = address.rpartition(":")
        self._server = await asyncio.start_server(self._serve, host.strip("[]"), int(port), limit=HEAD_BYTES)
        return int(self._server.sockets[0].getsockname()[1])

    def stop(self) -> None:
        """Stops listening."""
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        try:
            if self._open <= CONNECTIONS:
                async with asyncio.timeout(REQUEST_S):
                    head = await reader.readuntil(b"\r\n\r\n")
                    writer.write(_answer(*self._status(head.split(b"\r\n", 1)[0].decode("latin-1"))))
                    await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # no request that one could answer
        finally:
            self._open -= 1
            with suppress(OSError):
                writer.close()

    def _status(self, line: str) -> tuple[int, str]:
        """Returns the status and the text of an answer to a request line."""
        match line.split(" "):
            case ["GET" | "HEAD", "/livez", _]:
                return 200, "the event loop turns"
            case ["GET" | "HEAD", "/startupz", _]:
                return (200, "the start is done, or waits") if self._readiness.begun else (503, "it is starting")
            case ["GET" | "HEAD", "/readyz", _]:
                why = self._readiness.obstacle
                return (503, why) if why else (200, "ready")
            case ["GET" | "HEAD", *_]:
                return 404, "there are /livez, /readyz and /startupz"
            case _:
                return 405, "only GET is answered"


def _answer(status: int, text: str) -> bytes:
    body = f"{text}\n".encode()
    head = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-type: text/plain; charset=utf-8\r\n"
    return f"{head}content-length: {len(body)}\r\nconnection: close\r\n\r\n".encode() + body
