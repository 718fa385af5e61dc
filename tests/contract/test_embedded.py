"""The embedded PostgreSQL: shared by processes, stopped by the last of them, also after one was killed."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

HOLDER = """
import sys
from pathlib import Path
from services.orchestrator.store.embedded import EmbeddedPostgres
server = EmbeddedPostgres(Path(sys.argv[1]))
print("open", flush=True)
sys.stdin.readline()
server.close()
"""


@pytest.fixture
def data() -> Iterator[Path]:
    # Not among pytest's own folders: the server's user must be able to read the way to it.
    with tempfile.TemporaryDirectory(prefix="i2v-pg-", ignore_cleanup_errors=True) as folder:
        yield Path(folder) / "data"
        close(holder(Path(folder) / "data"))


def holder(data: Path) -> subprocess.Popen[str]:
    """Returns a process that has the server open."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(data)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "open\n"
    return process


def close(process: subprocess.Popen[str]) -> None:
    process.communicate("\n", timeout=30)
    assert process.returncode == 0


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate(timeout=10)


def runs(server: int) -> bool:
    """Whether a process runs; one that has ended and that nobody waits for does not."""
    try:
        return Path(f"/proc/{server}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def server_of(data: Path) -> int:
    return int((data / "postmaster.pid").read_text().splitlines()[0])


def gone(server: int) -> bool:
    deadline = time.monotonic() + 5
    while runs(server) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not runs(server)


def test_the_last_one_stops_the_server(data: Path) -> None:
    first, second = holder(data), holder(data)
    server = server_of(data)
    close(first)
    assert runs(server)
    close(second)
    assert gone(server)


@pytest.mark.parametrize("when", ["before the other opens it", "while the other has it open"])
def test_one_that_was_killed_does_not_keep_the_server(data: Path, when: str) -> None:
    first = holder(data)
    server = server_of(data)
    if when.startswith("before"):
        kill(first)
        second = holder(data)
    else:
        second = holder(data)
        kill(first)
    assert server_of(data) == server
    close(second)
    assert gone(server)


def test_a_list_of_holders_that_was_cut_is_no_obstacle(data: Path) -> None:
    first = holder(data)
    server = server_of(data)
    kill(first)
    os.kill(server, signal.SIGINT)
    assert gone(server)
    (data / ".handle_pids.json").write_text("[12")
    second = holder(data)
    server = server_of(data)
    close(second)
    assert gone(server)
