"""A certificate that is replaced in its files holds for new connections, without a restart, and old ones go on."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client import CollectorRegistry

from services.certificates.metrics import CertificateMetrics
from services.rpc.channel import open_channel
from services.rpc.server import LIVENESS, RpcServer, serve
from services.studio.app import open_app
from services.studio.settings import Settings
from tools.made_certificates import Authority, client_files, replace, server_files

REQUEST = health_pb2.HealthCheckRequest(service=LIVENESS)


@dataclass
class Rig:
    """A server that demands certificates of its authority."""

    folder: Path
    authority: Authority
    ca: Path
    pair: tuple[Path, Path]
    """The server's."""
    server: RpcServer
    registry: CollectorRegistry

    @property
    def address(self) -> str:
        return f"localhost:{self.server.port}"

    def failures(self, certificate: str) -> float | None:
        return self.registry.get_sample_value("i2v_certificate_reload_failures_total", {"certificate": certificate})

    def expiry(self, certificate: str) -> float | None:
        return self.registry.get_sample_value("i2v_certificate_expiry_timestamp_seconds", {"certificate": certificate})

    async def call(self, pair: tuple[Path, Path] | None) -> None:
        """Makes a call over a new connection. Raises AioRpcError."""
        async with open_channel(self.address, tls=client_files(self.ca, pair)) as channel:
            await health_pb2_grpc.HealthStub(channel).Check(REQUEST, timeout=30)

    async def shown(self, pair: tuple[Path, Path]) -> str:
        """The certificate that a new connection gets."""
        return await asyncio.to_thread(certificate_of, self.server.port, self.ca, pair)


def certificate_of(port: int, ca: Path, pair: tuple[Path, Path]) -> str:
    """Connects as a client with a certificate; returns the server's, PEM."""
    context = ssl.create_default_context(cafile=ca)
    context.load_cert_chain(*pair)
    with (
        socket.create_connection(("localhost", port), timeout=30) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        return ssl.DER_cert_to_PEM_cert(connection.getpeercert(binary_form=True) or b"")


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    authority, registry = Authority(tmp_path), CollectorRegistry()
    ca, pair = authority.file(), authority.issue(tmp_path / "server")
    files = server_files(*pair, ca, CertificateMetrics(registry))
    server = await serve("localhost:0", [], services=[], registry=registry, verify=None, tls=files)
    yield Rig(tmp_path, authority, ca, pair, server, registry)
    await server.drain(0)


async def test_a_client_without_a_certificate_of_the_authority_is_refused(rig: Rig) -> None:
    await rig.call(rig.authority.issue(rig.folder / "client"))
    for stranger in (None, Authority(rig.folder / "other", "another authority").issue(rig.folder / "stranger")):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await rig.call(stranger)
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_new_connections_get_the_new_certificate_and_open_streams_go_on(rig: Rig) -> None:
    client = rig.authority.issue(rig.folder / "client")
    async with open_channel(rig.address, tls=client_files(rig.ca, client)) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        watch = stub.Watch(health_pb2.HealthCheckRequest())
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        replace(rig.pair, rig.authority.issue(rig.folder / "new"))
        assert await rig.shown(client) == rig.pair[0].read_text()
        await rig.server.set_serving(False)
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        watch.cancel()


async def test_new_authorities_of_clients_hold_for_new_connections(rig: Rig) -> None:
    other = Authority(rig.folder / "other", "another authority")
    known, stranger = rig.authority.issue(rig.folder / "client"), other.issue(rig.folder / "stranger")
    trusted = rig.folder / "trusted.pem"
    trusted.write_bytes(rig.ca.read_bytes())
    other.file().replace(rig.ca)  # the server's; the clients here still trust the first one
    rig.ca = trusted
    await rig.call(stranger)
    with pytest.raises(grpc.aio.AioRpcError):
        await rig.call(known)


async def test_a_client_whose_files_are_replaced_connects_again_and_its_open_streams_go_on(rig: Rig) -> None:
    stranger = Authority(rig.folder / "other", "another authority").issue(rig.folder / "stranger")
    client = rig.authority.issue(rig.folder / "client")
    async with open_channel(rig.address, tls=client_files(rig.ca, client)) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        watch = stub.Watch(health_pb2.HealthCheckRequest())
        await watch.read()
        replace(client, stranger)
        with pytest.raises(grpc.aio.AioRpcError) as refused:  # a new connection, which shows the new certificate
            await stub.Check(REQUEST, timeout=30)
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        replace(client, rig.authority.issue(rig.folder / "again"))
        await stub.Check(REQUEST, timeout=30)
        await rig.server.set_serving(False)
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
    with pytest.raises(asyncio.CancelledError):  # closing the channel ends the calls of older connections too
        await watch.read()


@pytest.mark.parametrize("broken", ["another-key", "gone", "expired", "no-certificate"])
async def test_a_certificate_that_cannot_be_used_is_counted_once_and_the_one_before_it_stays(
    rig: Rig, broken: str, caplog: pytest.LogCaptureFixture
) -> None:
    client, first, until = rig.authority.issue(rig.folder / "client"), rig.pair[0].read_text(), rig.expiry("server")
    assert rig.failures("server") == 0
    match broken:
        case "another-key":
            rig.authority.issue(rig.folder / "new")[1].replace(rig.pair[1])
        case "gone":
            rig.pair[0].unlink()
        case "expired":
            replace(rig.pair, rig.authority.issue(rig.folder / "new", end=datetime.now(UTC) - timedelta(hours=1)))
        case "no-certificate":
            rig.pair[0].write_text("words")
    for _ in range(2):
        assert await rig.shown(client) == first
    assert (rig.failures("server"), rig.expiry("server")) == (1, until)
    warned = [each for each in caplog.records if each.getMessage() == "a new certificate cannot be used"]
    assert len(warned) == 1 and str(rig.pair[0]) in str(vars(warned[0])["cause"])
    end = datetime.now(UTC).replace(microsecond=0) + timedelta(days=5)
    replace(rig.pair, rig.authority.issue(rig.folder / "good", end=end))
    assert await rig.shown(client) == rig.pair[0].read_text() != first
    assert (rig.failures("server"), rig.expiry("server")) == (1, end.timestamp())


async def test_authorities_that_cannot_be_used_are_counted_as_such(rig: Rig) -> None:
    client = rig.authority.issue(rig.folder / "client")
    trusted = rig.folder / "trusted.pem"
    trusted.write_bytes(rig.ca.read_bytes())
    rig.ca.write_text("words")
    await asyncio.to_thread(certificate_of, rig.server.port, trusted, client)
    assert (rig.failures("ca"), rig.failures("server")) == (1, 0)


async def test_the_http_process_takes_new_files_too_and_demands_certificates(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    ca, pair, client = authority.file(), authority.issue(tmp_path / "server"), authority.issue(tmp_path / "client")
    settings = Settings(
        listen="localhost:0",
        metrics_listen="",
        tls_cert_file=str(pair[0]),
        tls_key_file=str(pair[1]),
        tls_client_ca_file=str(ca),
    )
    async with open_app(settings, registry=CollectorRegistry()) as app:
        await answered(app.port, ca, client)
        with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
            await answered(app.port, ca, None)
        replace(pair, authority.issue(tmp_path / "new"))
        shown = await asyncio.to_thread(certificate_of, app.port, ca, client)
        assert shown == pair[0].read_text()
        await answered(app.port, ca, client)


async def answered(port: int, ca: Path, client: tuple[Path, Path] | None) -> None:
    """Makes a request and reads the first line of its answer. Raises what ends the connection before that."""
    context = ssl.create_default_context(cafile=ca)
    if client is not None:
        context.load_cert_chain(*client)
    reader, writer = await asyncio.open_connection("localhost", port, ssl=context)
    try:
        writer.write(b"GET /none HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 404")
    finally:
        writer.close()
        with suppress(ssl.SSLError, ConnectionError):
            await writer.wait_closed()
