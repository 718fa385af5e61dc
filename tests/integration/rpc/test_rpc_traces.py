"""The spans of calls, over real sockets: whose child they are, what they hold, and what callers cannot do to them."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode

from services.rpc.channel import open_channel
from services.tracing import spans
from services.tracing.spans import Kind
from services.tracing.trace_context import TraceContext
from tests.support.log_capture import captured
from tests.support.recorded_spans import recording
from tests.support.scripted_rpc_service import KEY, SERVICE, Rig, Start, starting

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = f"00-{TRACE}-{SPAN}-01"
SAY = f"{SERVICE}/Say"


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    async with starting() as starts:
        yield starts


async def ended(kept: list[ReadableSpan], number: int = 1) -> list[ReadableSpan]:
    """Waits for spans: a call has its answer before its span ends."""
    async with asyncio.timeout(30):
        while len(kept) < number:  # noqa: ASYNC110  A span sends no event.
            await asyncio.sleep(0.001)
    return kept


def parent_of(span: ReadableSpan) -> str:
    return f"{span.parent.span_id:016x}" if span.parent is not None else ""


async def test_a_call_is_a_child_of_its_callers_span(start: Start) -> None:
    with recording() as kept:
        rig = await start()
        await rig.say(b"hello", (*KEY, ("traceparent", PARENT), ("tracestate", "of=another")))
        (span,) = await ended(kept)
    assert (span.name, span.kind, parent_of(span)) == (SAY, SpanKind.SERVER, SPAN)
    assert span.context is not None and f"{span.context.trace_id:032x}" == TRACE
    assert span.context.trace_state.to_header() == "of=another"
    wanted = {"rpc.system": "grpc", "rpc.service": SERVICE, "rpc.method": "Say", "rpc.grpc.status_code": 0}
    assert (dict(span.attributes or {}), span.status.status_code) == (wanted, StatusCode.UNSET)


async def test_the_line_of_a_call_names_its_span(start: Start) -> None:
    with recording() as kept, captured() as log:
        rig = await start()
        await rig.say(b"hello", (*KEY, ("traceparent", PARENT)))
        (answered,) = await ended(kept)
        await rig.fails(b"invalid", (*KEY, ("traceparent", PARENT)))
        _, refused = await ended(kept, 2)
    lines = {line["message"]: line for line in map(json.loads, log.json)}
    for message, span in (("answered", answered), ("refused", refused)):
        assert span.context is not None
        assert (lines[message]["trace_id"], lines[message]["span_id"]) == (TRACE, f"{span.context.span_id:016x}")


@pytest.mark.parametrize(
    "headers",
    [
        [("traceparent", "0" * 7_000)],
        [("traceparent", PARENT.upper())],
        [("traceparent", PARENT.replace("0af", "xyz"))],
        [("traceparent-bin", PARENT.encode())],
        [("tracestate", "a=b")],
    ],
    ids=["long", "upper", "not hexadecimal", "bytes", "state alone"],
)
async def test_a_hostile_traceparent_is_ignored_and_the_call_answered(start: Start, headers: Any) -> None:
    with recording() as kept:
        rig = await start()
        assert await rig.say(b"hello", (*KEY, *headers))
        (span,) = await ended(kept)
    assert span.parent is None and span.context is not None and f"{span.context.trace_id:032x}" != TRACE


async def test_a_trace_that_its_caller_does_not_record_is_not_recorded_here(start: Start) -> None:
    with recording() as kept:
        rig = await start()
        await rig.say(b"hello", (*KEY, ("traceparent", PARENT[:-1] + "0")))
        await rig.say(b"hello")
        (span,) = await ended(kept)
    assert span.parent is None, "the second one"


async def test_a_caller_without_a_key_makes_no_span(start: Start) -> None:
    with recording() as kept:
        rig = await start()
        for _ in range(3):
            await rig.fails(b"hello", (("traceparent", PARENT),))
        await rig.say(b"hello")
        assert [span.name for span in await ended(kept)] == [SAY]


async def test_health_is_watched_as_ever_and_makes_no_span(start: Start) -> None:
    with recording() as kept:
        rig = await start()
        watch = health_pb2_grpc.HealthStub(rig.channel).Watch(
            health_pb2.HealthCheckRequest(), metadata=(("traceparent", PARENT),)
        )
        seen = [(await anext(aiter(watch))).status]
        await rig.server.set_serving(False)
        seen.append((await anext(aiter(watch))).status)
        watch.cancel()
        await rig.say(b"hello")
        assert [span.name for span in await ended(kept)] == [SAY]
    assert seen == [health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING]


async def called(rig: Rig, kind: str, method: str, given: Any, **options: Any) -> Any:
    async with open_channel(f"127.0.0.1:{rig.server.port}") as channel:
        call = getattr(channel, kind)(rig.method(method))(given, metadata=KEY, **options)
        if kind.endswith("unary"):
            return await call
        return [answer async for answer in call]


async def test_a_call_of_ours_is_a_span_and_the_servers_its_child(start: Start) -> None:
    with recording() as kept:
        rig = await start()
        with spans.entry("work", Kind.INTERNAL):
            await called(rig, "unary_unary", "Say", b"hello")
        await ended(kept, 3)
    client, server = (next(span for span in kept if span.kind is kind) for kind in (SpanKind.CLIENT, SpanKind.SERVER))
    assert client.context is not None and parent_of(server) == f"{client.context.span_id:016x}"
    assert client.name == server.name == SAY
    assert (client.attributes or {})["rpc.grpc.status_code"] == 0


async def test_a_call_of_ours_in_a_trace_that_is_not_recorded_says_so(start: Start) -> None:
    with recording() as kept:
        rig = await start()
        with spans.entry("work", Kind.INTERNAL, parent=TraceContext(TRACE, SPAN, sampled=False)):
            await called(rig, "unary_unary", "Say", b"hello")
        await rig.say(b"hello")  # a trace of its own
        (span,) = await ended(kept)
    assert span.context is not None and f"{span.context.trace_id:032x}" != TRACE


async def test_calls_outside_of_any_work_are_no_spans(start: Start) -> None:
    with recording() as kept:
        rig = await start()
        await called(rig, "unary_unary", "Say", b"hello")
        (span,) = await ended(kept)
    assert span.kind is SpanKind.SERVER and span.parent is None


@pytest.mark.parametrize(
    ("request_", "code", "is_fault"), [(b"break", 13, True), (b"abort", 15, True), (b"invalid", 3, False)]
)
async def test_the_code_of_a_call_is_noted_and_only_the_servers_faults_are_its_errors(
    start: Start, request_: bytes, code: int, is_fault: bool
) -> None:
    with recording() as kept:
        rig = await start()
        with spans.entry("work", Kind.INTERNAL), suppress(grpc.aio.AioRpcError):
            await called(rig, "unary_unary", "Say", request_)
        await ended(kept, 3)
    found = {span.kind: span for span in kept}
    server, client = found[SpanKind.SERVER], found[SpanKind.CLIENT]
    for span in (server, client):
        assert (span.attributes or {})["rpc.grpc.status_code"] == code
        assert "secrets" not in span.to_json() and "gone" not in span.to_json()
    assert client.status.status_code is StatusCode.ERROR
    assert (server.status.status_code is StatusCode.ERROR) is is_fault


async def test_a_stream_is_one_span_from_its_first_message_to_its_end(start: Start) -> None:
    async def requests() -> AsyncIterator[bytes]:
        yield b"a"
        yield b"b"

    with recording() as kept:
        rig = await start()
        with spans.entry("work", Kind.INTERNAL):
            assert await called(rig, "unary_stream", "Repeat", b"a") == [b"a"] * 3
            assert await called(rig, "stream_unary", "Count", requests()) == b"2"
            assert await called(rig, "stream_stream", "Echo", requests()) == [b"a", b"b"]
        await ended(kept, 7)
    names = sorted(span.name.rpartition("/")[2] for span in kept)
    assert names == ["Count", "Count", "Echo", "Echo", "Repeat", "Repeat", "work"]
    assert all(span.status.status_code is StatusCode.UNSET for span in kept)


async def test_a_call_that_is_cancelled_is_no_error(start: Start) -> None:
    with recording() as kept:
        rig = await start()
        with spans.entry("work", Kind.INTERNAL):
            async with open_channel(f"127.0.0.1:{rig.server.port}") as channel:
                call = channel.unary_stream(rig.method("Repeat"))(b"wait", metadata=KEY)
                await anext(aiter(call))
                await rig.parrot.waiting.wait()
                call.cancel()
                await ended(kept, 2)
        await ended(kept, 3)
    for kind in (SpanKind.CLIENT, SpanKind.SERVER):
        (span,) = (span for span in kept if span.kind is kind)
        assert (span.attributes or {})["rpc.grpc.status_code"] == 1
        assert span.status.status_code is StatusCode.UNSET
