"""A server that wants certificates of its callers, and callers that show theirs and renew it without a restart."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client import CollectorRegistry

from services.rpc.channel import open_channel
from services.rpc.rotating_certificate import RotatingCertificate
from services.rpc.server import LIVENESS, RpcServer, Tls, serve
from tests.support.certificate import a_certificate


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[RpcServer]:
    """Trusts the caller's certificate of the folder `trusted` alone."""
    cert, key = a_certificate(tmp_path / "server")
    trusted, _ = a_certificate(tmp_path / "trusted", "caller")
    tls = Tls(cert_file=cert, key_file=key, client_ca_file=trusted)
    running = await serve("localhost:0", [], services=[], registry=CollectorRegistry(), verify=None, tls=tls)
    yield running
    await running.drain(0)


def channel(server: RpcServer, folder: Path, certificate: RotatingCertificate | None) -> Any:
    authorities = (folder / "server/cert.pem").read_bytes()
    return open_channel(f"localhost:{server.port}", authorities=authorities, certificate=certificate)


async def is_served(opened: Any) -> bool:
    stub: Any = health_pb2_grpc.HealthStub(opened)
    try:
        await stub.Check(health_pb2.HealthCheckRequest(service=LIVENESS), timeout=20)
    except grpc.aio.AioRpcError as error:
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        return False
    return True


async def test_a_caller_with_a_certificate_of_the_authority_is_served(server: RpcServer, tmp_path: Path) -> None:
    shown = RotatingCertificate(tmp_path / "trusted/cert.pem", tmp_path / "trusted/key.pem")
    async with channel(server, tmp_path, shown) as opened:
        assert await is_served(opened)


async def test_a_caller_without_a_certificate_or_with_anothers_is_not(server: RpcServer, tmp_path: Path) -> None:
    stranger = RotatingCertificate(*a_certificate(tmp_path / "stranger", "caller"))
    for certificate in (None, stranger):
        async with channel(server, tmp_path, certificate) as opened:
            assert not await is_served(opened)


async def test_a_channel_shows_the_certificate_that_replaced_its_first_one(server: RpcServer, tmp_path: Path) -> None:
    own = RotatingCertificate(*a_certificate(tmp_path / "own", "caller"))
    async with channel(server, tmp_path, own) as opened:
        assert not await is_served(opened)
        for name in ("key.pem", "cert.pem"):
            shutil.copyfile(tmp_path / "trusted" / name, tmp_path / "own" / name)
        assert await is_served(opened)
