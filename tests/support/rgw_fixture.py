"""A real Ceph RGW for tests, if it is installed, or the environment names a script that starts one. All processes of a
run share it.

The script takes `fetch DIR`, which unpacks Ceph's packages into DIR/ceph, `up DIR memstore PORT`, and `down DIR`. What
`fetch` has left in a folder is used again if that is named too.
"""

import fcntl
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from tests.support.s3_fixture import S3Server

SCRIPT, PACKAGES = "I2V_TEST_RGW", "I2V_TEST_RGW_PACKAGES"
HOW = f"needs a Ceph RGW: install radosgw, ceph-mon and ceph-osd, or set {PACKAGES} (docs/settings.md)"
INSTALLED, OWN_SCRIPT = Path("/usr/bin/radosgw"), Path(__file__).with_name("rgw.sh")
MONITOR_PORT = ":3300"
"""In the script; two runs on one machine need two."""
FETCH_S, START_S, STOP_S = 60, 90, 60
"""Without its packages after a minute, the tests go on without it."""


@pytest.fixture(scope="session")
def rgw_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """One server for all tests of all processes; each takes keys or a bucket of its own."""
    given = os.environ.get(SCRIPT, "")
    script = Path(given) if given else OWN_SCRIPT
    packages = os.environ.get(PACKAGES)
    if not script.exists() or not (given or packages or INSTALLED.exists()):
        pytest.skip(HOW)
    if packages and not (Path(packages) / "ceph").exists():
        pytest.skip(f"the packages of Ceph are not in {packages}, or not yet")
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with running_rgw(script, shared / "rgw") as server:
        yield server


@contextmanager
def running_rgw(script: Path, folder: Path) -> Iterator[S3Server]:
    """Starts a server in a folder, unless another process has, and ends it when no process uses it any more."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock, (folder / "users").open("w") as users:
        with _locked(lock):
            if not (folder / "port").exists():
                _start(script, folder)
            port = (folder / "port").read_text()
            if not port:
                pytest.skip(f"the Ceph RGW does not start, or its packages take too long: see {folder}/log")
            fcntl.flock(users, fcntl.LOCK_SH)
        try:
            yield S3Server(f"127.0.0.1:{port}", "testaccesskey", "testsecretkey")
        finally:
            with _locked(lock):
                _stop_if_last(folder, users)


def _start(script: Path, folder: Path) -> None:
    """Starts a server; without a port in the file it did not start, and no other process tries."""
    (folder / "port").touch()
    own = folder / "rgw.sh"
    own.write_text(script.read_text().replace(MONITOR_PORT, f":{_free_port()}"))
    if packages := os.environ.get(PACKAGES):
        (folder / "ceph").symlink_to(Path(packages).absolute() / "ceph")
    elif script == OWN_SCRIPT:
        (folder / "ceph").symlink_to("/")
    elif not _run(own, folder, "fetch", timeout_s=FETCH_S):
        return
    port = str(_free_port())
    if _run(own, folder, "up", "memstore", port, timeout_s=START_S):
        (folder / "port").write_text(port)
    else:
        _run(own, folder, "down", timeout_s=STOP_S)


def _stop_if_last(folder: Path, users: IO[str]) -> None:
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    _run(folder / "rgw.sh", folder, "down", timeout_s=STOP_S)
    (folder / "port").unlink()


def _run(script: Path, folder: Path, command: str, *arguments: str, timeout_s: int) -> bool:
    # This `timeout` ends the children of the script too.
    limited = ["timeout", str(timeout_s), "bash", script, command, folder, *arguments]
    with (folder / "log").open("ab") as log:
        return subprocess.run(limited, stdout=log, stderr=log, check=False).returncode == 0


@contextmanager
def _locked(lock: IO[str]) -> Iterator[None]:
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(lock, fcntl.LOCK_UN)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port
