"""Processes that have the embedded PostgreSQL open, as orchestrators do."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

HOLDER = """
import sys
from pathlib import Path
from services.orchestrator.store.embedded_postgres import EmbeddedPostgres
server = EmbeddedPostgres(Path(sys.argv[1]))
print("open", flush=True)
sys.stdin.readline()
server.close()
"""


def start_holder(data: Path, **environment: str) -> subprocess.Popen[str]:
    """Starts a process that opens the server, and keeps it open until it is closed."""
    return subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(data)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **environment},
        text=True,
    )


def holder(data: Path, environment: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """Returns a process that has the server open."""
    process = start_holder(data, **(environment or {}))
    assert process.stdout is not None
    if process.stdout.readline() != "open\n":
        raise AssertionError(process.communicate()[1])
    return process


def close(process: subprocess.Popen[str]) -> None:
    _, errors = process.communicate("\n", timeout=60)
    assert process.returncode == 0, errors


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate(timeout=30)


def runs(server: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{server}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def server_of(data: Path) -> int:
    """Returns the process of the server."""
    return int((data / "postmaster.pid").read_text().splitlines()[0])


def gone(server: int) -> bool:
    """Waits until a process has ended; returns whether it has."""
    deadline = time.monotonic() + 60
    while runs(server) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not runs(server)
