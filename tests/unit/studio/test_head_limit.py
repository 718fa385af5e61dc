"""Connections that send no whole request are closed, and those that do are served."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from services.studio.head_limit import HeadLimited

WITHIN_S = 30.0
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Quick(HeadLimited):
    head_s = 0.2


@pytest.fixture
async def connection() -> AsyncIterator[Connection]:
    """To a server whose path `/slow` takes longer than a head may."""

    async def answer(request: Request) -> Response:
        if request.url.path == "/slow":
            await asyncio.sleep(2 * Quick.head_s)
        return PlainTextResponse("here")

    app = Starlette(routes=[Route("/{path}", answer, methods=["GET", "POST"])])
    server = uvicorn.Server(uvicorn.Config(app, port=0, http=Quick, log_config=None, timeout_keep_alive=60))
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110  uvicorn has no event
        await asyncio.sleep(0)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.servers[0].sockets[0].getsockname()[1])
    try:
        yield reader, writer
    finally:
        writer.close()
        server.should_exit = True
        await serving


async def rest(connection: Connection) -> bytes:
    async with asyncio.timeout(WITHIN_S):
        return await connection[0].read()


async def test_a_connection_without_a_request_is_closed(connection: Connection) -> None:
    assert await rest(connection) == b""


async def test_a_head_that_comes_byte_by_byte_is_given_up(connection: Connection) -> None:
    connection[1].write(b"GET /a HTTP/1.1\r\nHost: i2v\r\nX-A: ")
    ended = asyncio.create_task(rest(connection))
    while not ended.done():
        connection[1].write(b"a")
        await asyncio.wait({ended}, timeout=0.02)
    assert ended.exception() is None or isinstance(ended.exception(), ConnectionError)


async def test_a_request_that_takes_longer_is_answered_and_then_the_next_one_is_awaited(connection: Connection) -> None:
    connection[1].write(b"GET /slow HTTP/1.1\r\nHost: i2v\r\n\r\n")
    answered = await rest(connection)
    assert (answered.startswith(b"HTTP/1.1 200"), answered.endswith(b"here")) == (True, True)


async def test_the_rest_of_an_answered_body_is_not_awaited_for_long(connection: Connection) -> None:
    connection[1].write(b"POST /a HTTP/1.1\r\nHost: i2v\r\nContent-Length: 100\r\n\r\nabc")
    assert (await rest(connection)).endswith(b"here")
