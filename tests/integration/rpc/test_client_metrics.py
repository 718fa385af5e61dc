"""The metrics of a client, with the names, labels and values of go-grpc-prometheus; and calls of unknown methods."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.exposition import generate_latest

from services.rpc.channel import open_channel
from services.rpc.client_metrics import ClientMetrics
from services.tracing import spans
from services.tracing.spans import Kind
from services.tracing.trace_context import TraceContext
from tests.support.recorded_spans import recording
from tests.support.scripted_rpc_service import KEY, SERVICE, Rig, Start, starting

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
HOSTILE = ("/test.Parrot/Nothing", "/x/y", "/" + "z" * 5000 + "/M", '/a"} 1/b', "/%ff/\\n")


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    async with starting() as starts:
        yield starts


@pytest.fixture
async def rig(start: Start) -> Rig:
    return await start()


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
async def counted(rig: Rig, registry: CollectorRegistry) -> AsyncIterator[Rig]:
    """The same server, through a channel that counts."""
    metrics = ClientMetrics(registry)
    async with open_channel(f"127.0.0.1:{rig.server.port}", metrics=metrics) as channel:
        yield Rig(rig.parrot, rig.registry, rig.server, channel)


def value(registry: CollectorRegistry, name: str, method: str, kind: str, **more: str) -> float | None:
    labels = {"grpc_type": kind, "grpc_service": SERVICE, "grpc_method": method, **more}
    return registry.get_sample_value(name, labels)


async def test_a_unary_call_is_counted(counted: Rig, registry: CollectorRegistry) -> None:
    assert await counted.say(b"a") == b"a"
    for name in ("started_total", "msg_sent_total", "msg_received_total", "handling_seconds_count"):
        assert value(registry, f"grpc_client_{name}", "Say", "unary") == 1, name
    assert value(registry, "grpc_client_handled_total", "Say", "unary", grpc_code="OK") == 1


async def test_the_code_of_a_failure_is_spelled_as_go_does(counted: Rig, registry: CollectorRegistry) -> None:
    with pytest.raises(grpc.aio.AioRpcError):
        await counted.say(b"invalid")
    assert value(registry, "grpc_client_handled_total", "Say", "unary", grpc_code="InvalidArgument") == 1
    assert value(registry, "grpc_client_msg_received_total", "Say", "unary") == 0


async def test_a_cancelled_call_is_counted_as_canceled(counted: Rig, registry: CollectorRegistry) -> None:
    call = asyncio.create_task(counted.say(b"wait"))
    await counted.parrot.waiting.wait()
    call.cancel()
    await asyncio.wait({call})
    assert value(registry, "grpc_client_handled_total", "Say", "unary", grpc_code="Canceled") == 1


async def test_the_messages_of_streams_are_counted(counted: Rig, registry: CollectorRegistry) -> None:
    call = counted.channel.stream_stream(counted.method("Echo"))(iter([b"a", b"b"]), metadata=KEY)
    assert [answer async for answer in call] == [b"a", b"b"]
    repeated = counted.channel.unary_stream(counted.method("Repeat"))(b"x", metadata=KEY)
    assert len([answer async for answer in repeated]) == 3
    assert await counted.channel.stream_unary(counted.method("Count"))(iter([b"", b""]), metadata=KEY) == b"2"
    for method, kind, sent, received in (
        ("Echo", "bidi_stream", 2, 2),
        ("Repeat", "server_stream", 1, 3),
        ("Count", "client_stream", 2, 1),
    ):
        assert value(registry, "grpc_client_msg_sent_total", method, kind) == sent
        assert value(registry, "grpc_client_msg_received_total", method, kind) == received
        assert value(registry, "grpc_client_handled_total", method, kind, grpc_code="OK") == 1


async def test_a_server_that_is_away_is_counted(registry: CollectorRegistry) -> None:
    async with open_channel("127.0.0.1:9", metrics=ClientMetrics(registry)) as channel:
        with pytest.raises(grpc.aio.AioRpcError):
            await channel.unary_unary("/test.Parrot/Say")(b"a")
    assert value(registry, "grpc_client_handled_total", "Say", "unary", grpc_code="Unavailable") == 1


async def test_a_sampled_trace_is_the_exemplar_of_its_calls(counted: Rig, registry: CollectorRegistry) -> None:
    with (
        recording() as kept,
        spans.entry("work", Kind.INTERNAL, parent=TraceContext(TRACE, SPAN, sampled=True)) as work,
    ):
        context = work.context()
        assert context is not None
        await counted.say(b"a", (*KEY, *context.headers))
        async with asyncio.timeout(30):
            while not kept:  # noqa: ASYNC110  The server's span ends after its answer, and sends no event.
                await asyncio.sleep(0.001)
    for side, text in (
        ("client", generate_latest(registry).decode()),
        ("server", generate_latest(counted.registry).decode()),
    ):
        for name in (f"grpc_{side}_handled_total", f"grpc_{side}_handling_seconds_bucket"):
            assert any(line.startswith(name) and f'# {{trace_id="{TRACE}"}}' in line for line in text.splitlines()), (
                name
            )


async def test_only_a_method_that_is_called_has_series(counted: Rig, registry: CollectorRegistry) -> None:
    counted.channel.unary_unary(counted.method("Never"))
    await counted.say(b"a")
    assert value(registry, "grpc_client_started_total", "Say", "unary") == 1
    assert value(registry, "grpc_client_started_total", "Never", "unary") is None


async def test_methods_that_callers_make_up_are_one_unknown(rig: Rig) -> None:
    for method in HOSTILE:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await rig.channel.unary_unary(method)(b"", metadata=KEY, timeout=10)
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    unknown = {"grpc_type": "unary", "grpc_service": "unknown", "grpc_method": "unknown"}
    assert rig.registry.get_sample_value("grpc_server_started_total", unknown) == len(HOSTILE)
    handled = {**unknown, "grpc_code": "Unimplemented"}
    assert rig.registry.get_sample_value("grpc_server_handled_total", handled) == len(HOSTILE)
    assert "z" * 100 not in generate_latest(rig.registry).decode()


async def test_bytes_of_messages_are_counted(rig: Rig) -> None:
    await rig.say(b"who")
    assert value(rig.registry, "i2v_call_received_bytes_total", "Say", "unary") == 3
    assert value(rig.registry, "i2v_call_sent_bytes_total", "Say", "unary") == len(await rig.say(b"who"))
