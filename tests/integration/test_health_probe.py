"""The health command of a container, as a process against a real health port."""

import asyncio
import sys

import pytest

from services.health_port import HealthPort
from services.readiness import Readiness


async def probe(*arguments: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "services.health_probe", *arguments]
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    _, said = await process.communicate()
    return process.returncode or 0, said.decode()


async def test_a_process_is_well_when_it_is_ready_and_otherwise_a_line_says_why() -> None:
    readiness = Readiness()
    port = HealthPort(readiness)
    address = f"127.0.0.1:{await port.start('127.0.0.1:0')}"
    try:
        assert await probe(f"http://{address}/readyz") == (1, f"{address} answers with 503: it is starting\n")
        readiness.start()
        assert await probe(f"http://{address}/readyz") == (0, "")
        readiness.stop()
        assert await probe(f"http://{address}/readyz") == (1, f"{address} answers with 503: it is stopping\n")
    finally:
        port.stop()


async def test_a_process_that_is_not_there_is_not_well() -> None:
    code, said = await probe("http://127.0.0.1:1/readyz")
    assert code == 1
    assert said.startswith("127.0.0.1:1 does not answer: ") and said.count("\n") == 1


@pytest.mark.parametrize("arguments", [("127.0.0.1:1",), ("https://127.0.0.1:1/",), ("http://127.0.0.1:1/", "more")])
async def test_a_wrong_call_says_what_is_right(arguments: tuple[str, ...]) -> None:
    code, said = await probe(*arguments)
    assert code == 2
    assert "services.health_probe [URL]" in said
