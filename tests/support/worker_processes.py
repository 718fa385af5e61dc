"""Workers as processes of their own, which tests can kill, and the API that they work for."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from services.orchestrator.role import Role
from tests.support.forked_programs import ForkedProgram
from tests.support.served_orchestrator import Served, served
from tools.evictions.fake_models import fake_models

__all__ = ["api_alone", "fake_models", "said", "worker"]


@asynccontextmanager
async def api_alone(database: str, data: Path, fps: int = 8) -> AsyncIterator[Served]:
    """The API in this process, without a worker. Audits the ledger at the end."""
    models = fake_models(data, fps)

    def change(values: dict[str, object]) -> None:
        values["models_file"] = models

    async with served(database, data, {}, role=Role.API, change=change) as running:
        yield running
        assert await running.app.store.counter_audits.full(limit=9) == []


@contextmanager
def worker(
    database: str,
    data: Path,
    name: str = "worker-0",
    role: str = "worker",
    root: Path | None = None,
    **settings: str,
) -> Iterator[subprocess.Popen[bytes]]:
    """A worker process, or one of another role, on the fake backend, which pauses after each fragment.

    `root` is the checkout whose code runs; default: the working folder.
    """
    root = root or Path.cwd()
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{root}:{root / 'gen'}",
        "I2V_DATABASE_URL": database,
        "I2V_DATA": str(data),
        "I2V_MODELS_FILE": str(data / "models.toml"),
        "I2V_LISTEN": "127.0.0.1:0",
        "I2V_METRICS_LISTEN": "127.0.0.1:0",
        "I2V_TRITON": "",
        "I2V_FAKE_SLOTS": "4",
        "I2V_FAKE_PAUSE_S": "0.3",
        "I2V_WORKER_NAME": name,
    } | settings
    log = (data / f"{name}.log").open("ab")
    process: subprocess.Popen[bytes]
    if root == Path.cwd():
        process = ForkedProgram("services.orchestrator", role, env=environment, stderr=log)
    else:
        command = [sys.executable, "-W", "ignore", "-m", "services.orchestrator", role]
        process = subprocess.Popen(command, cwd=root, env=environment, stderr=log)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        log.close()


async def said(process: subprocess.Popen[bytes], log: Path, words: str) -> str:
    """Waits until a process has logged something; returns its log."""
    while process.poll() is None:
        if words in (text := log.read_text()):
            return text
        await asyncio.sleep(0.05)
    raise AssertionError(log.read_text())
