"""A server as services.rpc makes it: health, shutdown, its port, TLS, metrics over HTTP, reflection."""

import asyncio
import json
import socket
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from prometheus_client import CollectorRegistry

from services.cannot_listen import CannotListenError
from services.metrics.endpoint import serve_metrics
from services.rpc.server import serve
from services.rpc.status_codes import from_call
from tests.support.scripted_rpc_service import KEY, SERVICE, Rig, Start, starting
from tools.made_certificates import a_certificate, server_files

SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    async with starting() as starts:
        yield starts


@pytest.fixture
async def rig(start: Start) -> Rig:
    return await start()


async def test_metrics_are_served_over_http(rig: Rig) -> None:
    await rig.say(b"a")
    port, close = serve_metrics("127.0.0.1:0", rig.registry)
    try:
        answer = await asyncio.to_thread(lambda: urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics").read())
    finally:
        close()
    assert b'grpc_server_started_total{grpc_method="Say",grpc_service="test.Parrot",grpc_type="unary"} 1.0' in answer


async def test_health_needs_no_key_and_follows_set_serving(rig: Rig) -> None:
    health = health_pb2_grpc.HealthStub(rig.channel)
    watch = aiter(health.Watch(health_pb2.HealthCheckRequest(service=SERVICE)))
    assert (await anext(watch)).status == SERVING
    await rig.server.set_serving(False)
    assert (await anext(watch)).status == NOT_SERVING
    assert (await health.Check(health_pb2.HealthCheckRequest())).status == NOT_SERVING
    assert (await health.Check(health_pb2.HealthCheckRequest(service="liveness"))).status == SERVING
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await health.Check(health_pb2.HealthCheckRequest(service="unknown"))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_a_health_watcher_that_leaves_does_not_affect_the_others(rig: Rig) -> None:
    health = health_pb2_grpc.HealthStub(rig.channel)
    leaves, stays = (health.Watch(health_pb2.HealthCheckRequest(service=SERVICE)) for _ in range(2))
    assert (await leaves.read()).status == (await stays.read()).status == SERVING
    leaves.cancel()
    await rig.metric_becomes(1, "grpc_server_handled_total", "Watch", grpc_code="Canceled")
    await rig.server.set_serving(False)
    assert (await stays.read()).status == NOT_SERVING
    unknown = health.Watch(health_pb2.HealthCheckRequest(service="unknown"))
    assert (await unknown.read()).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


async def test_a_client_that_balances_by_health_can_call(rig: Rig) -> None:
    config = {"loadBalancingConfig": [{"round_robin": {}}], "healthCheckConfig": {"serviceName": SERVICE}}
    options = [("grpc.service_config", json.dumps(config))]
    channel: Any = grpc.aio.insecure_channel(f"127.0.0.1:{rig.server.port}", options=options)
    async with channel:
        assert await channel.unary_unary(rig.method("Say"))(b"a", metadata=KEY, timeout=5) == b"a"


async def test_a_drain_ends_endless_streams_immediately_and_lets_calls_finish(start: Start) -> None:
    rig = await start(endless=[f"/{SERVICE}/Repeat"])
    health = aiter(health_pb2_grpc.HealthStub(rig.channel).Watch(health_pb2.HealthCheckRequest()))
    assert (await anext(health)).status == SERVING
    stream = rig.channel.unary_stream(rig.method("Repeat"))(b"wait", metadata=KEY)
    assert [await stream.read() for _ in range(3)] == [b"wait"] * 3
    await rig.parrot.waiting.wait()
    rig.parrot.waiting.clear()
    running = asyncio.ensure_future(rig.say(b"wait"))
    await rig.parrot.waiting.wait()

    drained = asyncio.create_task(rig.server.drain(grace_s=5))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stream.read()
    failure = from_call(caught.value)
    assert (failure.code, failure.reason) == (grpc.StatusCode.UNAVAILABLE, "GOING_DOWN")
    assert failure.retry_after_s is not None
    assert rig.parrot.closed.is_set()
    assert (await anext(health)).status == NOT_SERVING
    assert not drained.done()
    rig.parrot.released.set()
    assert await running == b"wait"
    await drained
    assert rig.metric("grpc_server_handled_total", "Repeat", grpc_code="Unavailable") == 1


async def test_a_call_longer_than_the_grace_period_ends_with_unavailable(rig: Rig) -> None:
    stream = rig.channel.unary_stream(rig.method("Repeat"))(b"wait", metadata=KEY)
    await rig.parrot.waiting.wait()
    await rig.server.drain(grace_s=0.05)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        _ = [each async for each in stream]
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_port_in_use_is_reported_clearly() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(CannotListenError, match=f"cannot listen on {address}"):
            await serve(address, [], services=[], registry=CollectorRegistry(), verify=None)


async def test_two_servers_never_share_a_port(rig: Rig) -> None:
    with pytest.raises(CannotListenError):
        await serve(f"127.0.0.1:{rig.server.port}", [], services=[], registry=CollectorRegistry(), verify=None)


async def test_with_tls_a_client_that_trusts_the_authority_can_call(start: Start, tmp_path: Path) -> None:
    cert, key = a_certificate(tmp_path)
    rig = await start(tls=server_files(cert, key))
    trusting = grpc.ssl_channel_credentials(cert.read_bytes())
    channel: Any = grpc.aio.secure_channel(f"localhost:{rig.server.port}", trusting)
    async with channel:
        assert await channel.unary_unary(rig.method("Say"))(b"a", metadata=KEY, timeout=5) == b"a"


async def test_reflection_is_served_when_enabled(start: Start) -> None:
    rig = await start(reflect=True)
    stub = reflection_pb2_grpc.ServerReflectionStub(rig.channel)
    request: Message = reflection_pb2.ServerReflectionRequest(list_services="")
    answer = await stub.ServerReflectionInfo(iter([request])).read()
    assert SERVICE in [each.name for each in answer.list_services_response.service]
