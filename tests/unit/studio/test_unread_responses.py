"""Responses that their readers do not take: the connection is broken off for each kind of response."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from services.studio.http_connection import connections

LARGE, SMALL = 16 * 2**20, 8 * 2**20
WITHIN_S = 30.0
GET = b"GET /%d HTTP/1.1\r\nHost: i2v\r\n%s\r\n"


async def answer(request: Request) -> Response:
    return PlainTextResponse("a" * int(request.path_params["size"]))


@asynccontextmanager
async def server() -> AsyncIterator[uvicorn.Server]:
    app = Starlette(routes=[Route("/{size}", answer)])
    made = uvicorn.Server(uvicorn.Config(app, port=0, http=connections(0.1), log_config=None, timeout_keep_alive=1))
    serving = asyncio.create_task(made.serve())
    while not made.started:  # noqa: ASYNC110  uvicorn has no event
        await asyncio.sleep(0)
    try:
        yield made
    finally:
        made.should_exit = True
        await serving


def reader_of(made: uvicorn.Server) -> socket.socket:
    found = socket.socket()
    found.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    found.connect(("127.0.0.1", made.servers[0].sockets[0].getsockname()[1]))
    return found


@pytest.mark.parametrize(
    "sent",
    [GET % (LARGE, b""), GET % (LARGE, b"Connection: close\r\n"), GET % (SMALL, b"") * 3],
    ids=["kept open", "closed after it", "one request after another"],
)
async def test_a_reader_that_takes_nothing_loses_its_connection(sent: bytes) -> None:
    async with server() as made:
        with reader_of(made) as reader:
            reader.sendall(sent)
            async with asyncio.timeout(WITHIN_S):
                while not made.server_state.total_requests:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
                while made.server_state.connections or made.server_state.tasks:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)


async def test_a_slow_reader_gets_all_of_it() -> None:
    async with server() as made:
        with reader_of(made) as reader:
            reader.sendall(GET % (SMALL, b"Connection: close\r\n"))
            reader.setblocking(False)
            taken = 0
            while chunk := await asyncio.get_running_loop().sock_recv(reader, 2**18):
                taken += len(chunk)
                await asyncio.sleep(0.0005)
        assert taken > SMALL
