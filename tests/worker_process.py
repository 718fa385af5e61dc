"""A worker as a process of its own, to be killed."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def worker(
    database: str, data: Path, name: str = "worker-0", role: str = "worker", **settings: str
) -> Iterator[subprocess.Popen[bytes]]:
    """A worker process, or one of another role, on the fake backend, which rests a while after each fragment."""
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{Path.cwd()}:{Path.cwd() / 'gen'}",
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
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "services.orchestrator", role], env=environment, stderr=log
    )
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
