"""A certificate that is replaced in its files holds for new connections, without a restart, and old ones go on."""

import asyncio
import shutil
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client import CollectorRegistry

from services.rpc.server import LIVENESS, Tls, serve
from services.studio.app import open_app
from services.studio.settings import Settings
from tests.support.certificate import a_certificate


@dataclass
class Files:
    """The files that a server reads, and others to replace them with."""

    folder: Path
    cert: Path
    key: Path

    @classmethod
    def of(cls, folder: Path) -> "Files":
        cert, key = a_certificate(folder / "server")
        return cls(folder, cert, key)

    def replace(self, *, cert: bool = True, key: bool = True) -> str:
        """Replaces files at once, as a kubelet does; returns the new certificate as PEM."""
        new_cert, new_key = a_certificate(self.folder / "new")
        text = new_cert.read_text()
        for old, new, wanted in ((self.key, new_key, key), (self.cert, new_cert, cert)):
            if wanted:
                shutil.move(new, old)
        return text


async def shown(port: int) -> str:
    """The certificate that a new connection gets."""
    return await asyncio.to_thread(ssl.get_server_certificate, ("localhost", port), timeout=20)


async def shows(port: int, cert: str) -> None:
    while await shown(port) != cert:  # noqa: ASYNC110  the server has no event for it
        await asyncio.sleep(0.05)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[tuple[Files, int]]:
    files = Files.of(tmp_path)
    tls = Tls(cert_file=files.cert, key_file=files.key)
    running = await serve("localhost:0", [], services=[], registry=CollectorRegistry(), verify=None, tls=tls)
    yield files, running.port
    await running.drain(0)


async def test_new_connections_get_the_new_certificate_and_open_ones_go_on(server: tuple[Files, int]) -> None:
    files, port = server
    request = health_pb2.HealthCheckRequest(service=LIVENESS)
    credentials = grpc.ssl_channel_credentials(files.cert.read_bytes())
    async with grpc.aio.secure_channel(f"localhost:{port}", credentials) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        await stub.Check(request, timeout=20)
        new = files.replace()
        await shows(port, new)
        await stub.Check(request, timeout=20)  # on the connection of before, whose authority is trusted here


async def test_a_certificate_that_does_not_go_with_its_key_is_not_taken(server: tuple[Files, int]) -> None:
    files, port = server
    first = files.cert.read_text()
    files.replace(key=False)
    assert await shown(port) == first
    await shows(port, files.replace())


async def test_a_certificate_that_vanishes_stays_in_use(server: tuple[Files, int]) -> None:
    files, port = server
    first = files.cert.read_text()
    files.cert.unlink()
    assert await shown(port) == first


async def test_the_http_process_takes_a_new_certificate_too(tmp_path: Path) -> None:
    files = Files.of(tmp_path)
    settings = Settings(
        listen="127.0.0.1:0", metrics_listen="", tls_cert_file=str(files.cert), tls_key_file=str(files.key)
    )
    async with open_app(settings, registry=CollectorRegistry(), certificate_look_s=0.05) as app:
        await shows(app.port, files.cert.read_text())
        await shows(app.port, files.replace())
