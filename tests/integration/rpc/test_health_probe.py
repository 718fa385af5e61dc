"""The health command of a container, as a process against a real server."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from prometheus_client import CollectorRegistry

from services.rpc.server import serve


@asynccontextmanager
async def a_server(*, serving: bool) -> AsyncIterator[str]:
    server = await serve(
        "127.0.0.1:0", [], services=(), registry=CollectorRegistry(), verify=None, serving=serving
    )
    try:
        yield f"127.0.0.1:{server.port}"
    finally:
        await server.drain(0, 0)


async def probe(*arguments: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "services.rpc.health_probe", *arguments]
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    _, said = await process.communicate()
    return process.returncode or 0, said.decode()


async def test_a_server_that_serves_is_well() -> None:
    async with a_server(serving=True) as address:
        assert await probe(address) == (0, "")


async def test_one_that_does_not_serve_yet_is_not_well_but_it_listens() -> None:
    async with a_server(serving=False) as address:
        assert await probe(address) == (1, f"{address}: its health is NOT_SERVING\n")
        assert await probe("--listening", address) == (0, "")


@pytest.mark.parametrize("kind", [(), ("--listening",)])
async def test_one_that_is_not_there_is_not_well(kind: tuple[str, ...]) -> None:
    code, said = await probe(*kind, "127.0.0.1:1")
    assert code == 1
    assert said.startswith("127.0.0.1:1: ") and said.count("\n") == 1


async def test_a_wrong_call_says_what_is_right() -> None:
    code, said = await probe()
    assert code == 2
    assert "HOST:PORT" in said
