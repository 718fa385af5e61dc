"""WebSockets whose readers take nothing: they are broken off, and nothing piles up for them."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from services.studio.http_connection import WEB_SOCKETS, connections
from services.studio.socket.web_socket import WebSocket

WITHIN_S = 30.0
OPEN = (
    f"GET {WEB_SOCKETS} HTTP/1.1\r\nHost: i2v\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
).encode()
PING = b"\x89\xfd\0\0\0\0" + bytes(125)
TEXT = b"\x81\x81\0\0\0\0a"
MESSAGE = b"a" * 2**20


async def sends(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "websocket.accept"})
    while True:
        await send({"type": "websocket.send", "bytes": MESSAGE})


async def sends_and_closes(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.send", "bytes": MESSAGE})
    await send({"type": "websocket.close"})


@asynccontextmanager
async def opened(app: ASGIApp, stall_s: float) -> AsyncIterator[tuple[uvicorn.Server, socket.socket]]:
    """Yields a server, and a reader that has opened a WebSocket and takes nothing. The kernel keeps little for it."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    config = uvicorn.Config(
        app, http=connections(stall_s), ws=WebSocket, ws_ping_interval=None, log_config=None, interface="asgi3"
    )
    made = uvicorn.Server(config)
    serving = asyncio.create_task(made.serve([listener]))
    try:
        with socket.socket() as reader:
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            await asyncio.to_thread(reader.connect, listener.getsockname())
            reader.sendall(OPEN)
            assert (await asyncio.to_thread(reader.recv, 12)).startswith(b"HTTP/1.1 101")
            yield made, reader
    finally:
        made.should_exit = made.force_exit = True
        await serving


@pytest.mark.parametrize("app", [sends, sends_and_closes])
async def test_a_reader_that_takes_nothing_loses_its_connection(app: ASGIApp) -> None:
    async with opened(app, 0.1) as (made, _), asyncio.timeout(WITHIN_S):
        while made.server_state.connections or made.server_state.tasks:  # noqa: ASYNC110  uvicorn has no event
            await asyncio.sleep(0.01)


async def test_answers_to_pings_do_not_pile_up() -> None:
    read = asyncio.Event()

    async def waits(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await receive()
        read.set()
        await receive()

    async with opened(waits, 60) as (made, reader), asyncio.timeout(WITHIN_S):
        await asyncio.to_thread(reader.sendall, PING * 8000 + TEXT)
        await read.wait()
        (connection,) = made.server_state.connections
        assert connection.transport.get_write_buffer_size() < 200_000
