"""The health port of programs without a database: they are ready when they have started, and readiness goes first."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.health_port import answers, ask
from tests.support.programs import fresh_port

PROGRAMS = {
    "I2V_PROVIDER_FAL_": ("services.providers", "fal"),
    "I2V_PROMPT_": ("services.providers.prompt",),
    "I2V_STUDIO_": ("services.studio",),
}


@contextmanager
def started(prefix: str, folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], int, int]]:
    """A program, its health port, and its own port."""
    health, listen = fresh_port(), fresh_port()
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{Path.cwd()}:{Path.cwd() / 'gen'}",
        f"{prefix}LISTEN": f"127.0.0.1:{listen}",
        f"{prefix}METRICS_LISTEN": "127.0.0.1:0",
        f"{prefix}HEALTH_LISTEN": f"127.0.0.1:{health}",
        f"{prefix}DRAIN_DELAY_S": "120",
    }
    if prefix == "I2V_PROVIDER_FAL_":
        environment["I2V_PROVIDER_FAL_DATA"] = str(folder)
    process = subprocess.Popen([sys.executable, "-W", "ignore", "-m", *PROGRAMS[prefix]], env=environment)
    try:
        yield process, health, listen
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("prefix", PROGRAMS)
async def test_a_program_is_ready_when_it_has_started_and_not_from_its_stop_signal(prefix: str, tmp_path: Path) -> None:
    with started(prefix, tmp_path) as (process, health, listen):
        assert await answers(process, health, "/readyz", 200) == "ready"
        process.send_signal(signal.SIGTERM)
        assert await answers(process, health, "/readyz", 503) == "it is stopping"
        # It takes connections meanwhile: balancers have not noticed yet.
        _, writer = await asyncio.open_connection("127.0.0.1", listen)
        writer.close()
        await writer.wait_closed()
        assert (await asyncio.to_thread(ask, health, "/livez"))[0] == 200
        assert process.poll() is None


async def test_other_paths_and_other_methods_are_refused(tmp_path: Path) -> None:
    with started("I2V_STUDIO_", tmp_path) as (process, health, _):
        await answers(process, health, "/readyz", 200)
        assert (await asyncio.to_thread(ask, health, "/metrics"))[0] == 404
        for request in (b"POST /livez HTTP/1.1\r\n\r\n", b"nonsense\r\n\r\n"):
            reader, writer = await asyncio.open_connection("127.0.0.1", health)
            writer.write(request)
            assert (await reader.read()).startswith(b"HTTP/1.1 405 ")
            writer.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", health)
        writer.write(b"GET /livez HTTP/1.1\r\nx: " + b"y" * 20_000)
        assert await reader.read() == b""  # a head without an end gets no answer
        writer.close()
