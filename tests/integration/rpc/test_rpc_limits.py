"""Callers that could lock out others: endless calls, silent streams, stalled readers, bursts, malformed requests."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from services.errors import InvalidInput, Violation
from services.orchestrator.backends.grpc_error_message import is_full
from services.rpc.auth import Credential
from services.rpc.concurrent_call_limits import CallLimits, Group, OpenCalls
from services.rpc.status_codes import Failure, from_call
from tests.support.raw_http2 import RawCaller
from tests.support.scripted_rpc_service import KEY, SERVICE, Rig, Start, starting

STORY = (("authorization", "Bearer story-key"),)
EXHAUSTED, UNIMPLEMENTED = grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.UNIMPLEMENTED


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    async with starting() as starts:
        yield starts


async def failure_of(call: Any) -> Failure:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return from_call(caught.value)


async def reads_to_the_end(stream: Any) -> None:
    while await stream.read() is not grpc.aio.EOF:
        pass


async def waiting(rig: Rig, metadata: Any = KEY) -> Any:
    """A stream that goes on until it is released."""
    stream = rig.channel.unary_stream(rig.method("Repeat"))(b"wait", metadata=metadata)
    assert [await stream.read() for _ in range(3)] == [b"wait"] * 3
    return stream


async def test_calls_without_a_key_take_no_place_of_those_with_one(start: Start) -> None:
    rig = await start(limits=CallLimits(calls=2, open_calls=3))
    health = health_pb2_grpc.HealthStub(rig.channel)
    watches = [health.Watch(health_pb2.HealthCheckRequest()) for _ in range(12)]
    ends = [asyncio.ensure_future(failure_of(reads_to_the_end(watch))) for watch in watches]
    ended, still = await asyncio.wait(ends, timeout=30, return_when=asyncio.FIRST_COMPLETED)
    async with asyncio.timeout(30):
        while len(ended) < 9:
            more, still = await asyncio.wait(still, return_when=asyncio.FIRST_COMPLETED)
            ended |= more
    for end in ended:
        failure = end.result()
        assert (failure.code, failure.reason) == (grpc.StatusCode.UNIMPLEMENTED, "OPEN_CALLS_LIMIT_REACHED")
        assert (failure.metadata["limit"], failure.retry_after_s) == ("3", 1.0)
    assert await rig.say(b"a") == b"a"
    assert (await health.Check(health_pb2.HealthCheckRequest())).status == health_pb2.HealthCheckResponse.SERVING
    newcomer = health.Watch(health_pb2.HealthCheckRequest())
    assert (await newcomer.read()).status == health_pb2.HealthCheckResponse.SERVING
    assert rig.count("i2v_calls_rejected_total", reason="OPEN_CALLS_LIMIT_REACHED") >= 9
    for watch in (*watches, newcomer):
        watch.cancel()
    await asyncio.gather(*still, return_exceptions=True)


async def test_a_client_whose_watch_of_health_gave_way_calls_on_and_does_not_watch_again(start: Start) -> None:
    rig = await start(limits=CallLimits(open_calls=1))
    config = json.dumps({"loadBalancingConfig": [{"round_robin": {}}], "healthCheckConfig": {"serviceName": SERVICE}})
    own = (("grpc.service_config", config), ("grpc.use_local_subchannel_pool", 1))
    async with AsyncExitStack() as stack:
        channels = [grpc.aio.insecure_channel(f"127.0.0.1:{rig.server.port}", options=own) for _ in range(3)]
        for channel in channels:
            stack.push_async_callback(channel.close)
        for _ in range(20):
            for channel in channels:
                say = channel.unary_unary(rig.method("Say"))
                assert await say(b"a", metadata=KEY, wait_for_ready=True, timeout=60) == b"a"
        assert rig.metric("grpc_server_started_total", "Watch") == 3


async def test_a_flood_from_one_address_ends_its_own_calls(start: Start) -> None:
    rig = await start(limits=CallLimits(open_calls=10))
    health = health_pb2_grpc.HealthStub(rig.channel)
    watch = health.Watch(health_pb2.HealthCheckRequest())
    assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
    with ExitStack() as stack:
        flood = RawCaller(rig.server.port, host="127.0.0.2")
        stack.callback(flood.close)
        flood.burst("/grpc.health.v1.Health/Watch", 200, reset=False)  # a message of five zero bytes is an empty one
        async with asyncio.timeout(60):
            while rig.count("i2v_calls_rejected_total", reason="OPEN_CALLS_LIMIT_REACHED") < 191:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        await rig.server.set_serving(False)
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
    watch.cancel()


async def test_all_addresses_of_a_host_count_as_one() -> None:
    calls, tasks = OpenCalls(3), [asyncio.ensure_future(asyncio.sleep(0)) for _ in range(4)]
    assert calls.enter("ipv4:192.0.2.7:4000", tasks[0]) is None
    assert calls.enter("ipv6:%5B2001:db8::1%5D:4000", tasks[1]) is None
    assert calls.enter("ipv6:%5B2001:db8::2%5D:4000", tasks[2]) is None
    assert calls.enter("ipv6:%5B2001:db8:0:1::2%5D:4000", tasks[3]) is tasks[1]
    await asyncio.gather(*tasks)


async def test_a_reflection_stream_that_asks_nothing_is_ended(start: Start) -> None:
    rig = await start(reflect=True, limits=CallLimits(first_message_s=0.2, next_message_s=0.2))
    stub = reflection_pb2_grpc.ServerReflectionStub(rig.channel)
    assert (await failure_of(stub.ServerReflectionInfo().read())).reason == "REQUEST_LATE"

    stream = stub.ServerReflectionInfo()
    await stream.write(reflection_pb2.ServerReflectionRequest(list_services=""))
    await stream.read()
    assert (await failure_of(stream.read())).reason == "SENDER_STALLED"


async def test_a_stream_that_never_begins_is_ended_and_gives_its_place_back(start: Start) -> None:
    limits = CallLimits(groups=(Group("UPLOADS", [f"/{SERVICE}/Count"], 1, 9),), first_message_s=0.3)
    rig = await start(limits=limits)
    count = rig.channel.stream_unary(rig.method("Count"))
    silent = asyncio.ensure_future(failure_of(count(metadata=KEY)))
    await rig.metric_becomes(1, "grpc_server_streams_open", "Count")
    second = await failure_of(count(metadata=KEY))
    assert (second.code, second.reason) == (EXHAUSTED, "TENANT_UPLOADS_LIMIT_REACHED")
    assert (second.metadata["limit"], second.retry_after_s) == ("1", 1.0)
    late = await silent
    assert (late.code, late.reason, late.retry_after_s) == (grpc.StatusCode.UNAVAILABLE, "REQUEST_LATE", 1.0)

    async def two() -> AsyncIterator[bytes]:
        yield b"a"
        yield b"b"

    assert await count(two(), metadata=KEY) == b"2"
    assert rig.count("i2v_calls_rejected_total", reason="REQUEST_LATE") == 1
    assert rig.count("i2v_calls_rejected_total", reason="TENANT_UPLOADS_LIMIT_REACHED") == 1


async def test_one_tenant_fills_its_own_places_only(start: Start) -> None:
    limits = CallLimits(calls=4, tenant_calls=3, groups=(Group("WATCHES", [f"/{SERVICE}/Repeat"], 2, 3),))
    rig = await start(limits=limits)
    streams = [await waiting(rig) for _ in range(2)]
    third = rig.channel.unary_stream(rig.method("Repeat"))(b"wait", metadata=KEY)
    assert (await failure_of(third.read())).reason == "TENANT_WATCHES_LIMIT_REACHED"
    call = asyncio.ensure_future(rig.say(b"wait"))
    await rig.metric_becomes(1, "grpc_server_msg_received_total", "Say")
    assert from_call(await rig.fails(b"a")).reason == "TENANT_CALLS_LIMIT_REACHED"
    assert await rig.say(b"a", metadata=STORY) == b"a"
    streams.append(await waiting(rig, STORY))
    error = await rig.fails(b"a", metadata=STORY)
    assert is_full(error)
    failure = from_call(error)
    assert (failure.code, failure.reason, failure.metadata["limit"]) == (EXHAUSTED, "CALLS_LIMIT_REACHED", "4")
    rig.parrot.released.set()
    assert await call == b"wait"
    await asyncio.gather(*(reads_to_the_end(stream) for stream in streams))
    assert await rig.say(b"a") == b"a"


async def test_calls_of_a_kind_have_a_limit_over_all_tenants(start: Start) -> None:
    rig = await start(limits=CallLimits(groups=(Group("WATCHES", [f"/{SERVICE}/Repeat"], 1, 1),)))
    stream = await waiting(rig)
    other = rig.channel.unary_stream(rig.method("Repeat"))(b"wait", metadata=STORY)
    failure = await failure_of(other.read())
    assert (failure.code, failure.reason, failure.metadata["limit"]) == (EXHAUSTED, "WATCHES_LIMIT_REACHED", "1")
    assert await rig.say(b"a", metadata=STORY) == b"a"
    stream.cancel()


async def test_a_call_that_is_taken_back_at_once_is_counted_as_that(start: Start) -> None:
    rig = await start()
    with ExitStack() as stack:
        caller = RawCaller(rig.server.port)
        stack.callback(caller.close)
        caller.burst(rig.method("Say"), 5, reset=False, end=False, authorization="Bearer good-key")
        await rig.metric_becomes(5, "grpc_server_started_total", "Say")
    await rig.metric_becomes(5, "grpc_server_handled_total", "Say", grpc_code="Canceled")


async def test_a_reader_that_takes_nothing_is_ended(start: Start) -> None:
    rig = await start(limits=CallLimits(taking_s=0.3))
    stream = rig.channel.unary_stream(rig.method("Repeat"))(b"x" * (3 << 20), metadata=KEY)
    await rig.parrot.closed.wait()  # the servicer releases its bytes, although the caller reads nothing
    assert rig.count("i2v_calls_rejected_total", reason="READER_STALLED") == 1
    failure = await failure_of(reads_to_the_end(stream))
    assert (failure.code, failure.reason) == (grpc.StatusCode.UNAVAILABLE, "READER_STALLED")


async def test_a_reader_that_takes_not_even_a_byte_is_ended_and_keeps_its_place_until_it_goes(start: Start) -> None:
    limits = CallLimits(groups=(Group("DOWNLOADS", [f"/{SERVICE}/Repeat"], 1, 9),), taking_s=0.3)
    rig = await start(limits=limits)
    with ExitStack() as stack:
        caller = RawCaller(rig.server.port, window=0)
        stack.callback(caller.close)
        caller.burst(rig.method("Repeat"), 1, reset=False, authorization="Bearer good-key")
        await rig.parrot.closed.wait()
        assert rig.count("i2v_calls_rejected_total", reason="READER_STALLED") == 1
        other = rig.channel.unary_stream(rig.method("Repeat"))(b"a", metadata=KEY)
        assert (await failure_of(other.read())).reason == "TENANT_DOWNLOADS_LIMIT_REACHED"
        # The server notes the end of the refused call a moment after its caller has the answer.
        await rig.metric_becomes(1, "grpc_server_streams_open", "Repeat")
    await rig.metric_becomes(0, "grpc_server_streams_open", "Repeat")


async def test_an_answer_that_is_not_taken_keeps_the_place_of_its_call(start: Start) -> None:
    rig = await start(limits=CallLimits(groups=(Group("LISTS", [f"/{SERVICE}/Say"], 1, 9),)))
    with ExitStack() as stack:
        caller = RawCaller(rig.server.port, window=0)
        stack.callback(caller.close)
        caller.burst(rig.method("Say"), 1, reset=False, authorization="Bearer good-key")
        await rig.metric_becomes(1, "grpc_server_msg_sent_total", "Say")
        assert from_call(await rig.fails(b"a")).reason == "TENANT_LISTS_LIMIT_REACHED"
    async with asyncio.timeout(60):  # the server learns of the end a moment later
        while True:
            try:
                assert await rig.say(b"a") == b"a"
                return
            except grpc.aio.AioRpcError as error:
                assert from_call(error).reason == "TENANT_LISTS_LIMIT_REACHED"


@pytest.mark.parametrize("reset", [True, False], ids=["resets", "without-a-key"])
async def test_a_burst_ends_no_call_of_others(start: Start, reset: bool) -> None:
    rig = await start()
    assert await rig.say(b"a") == b"a"
    with ExitStack() as stack:
        for _ in range(4):
            caller = RawCaller(rig.server.port)
            stack.callback(caller.close)
            # It blocks the loop that would accept these calls, so all of them are waiting when the good ones arrive.
            caller.burst(rig.method("Say"), 1000, reset=reset)
        assert await asyncio.gather(*(rig.say(b"a", timeout_s=60) for _ in range(20))) == [b"a"] * 20


async def test_only_so_many_keys_are_looked_up_at_a_time(start: Start) -> None:
    asked, answer = asyncio.Event(), asyncio.Event()

    async def slow(token: str) -> Credential:
        asked.set()
        await answer.wait()
        return Credential("acme")

    rig = await start(verify=slow, limits=CallLimits(arriving=1))
    first = asyncio.ensure_future(rig.say(b"a"))
    await asked.wait()
    failure = from_call(await rig.fails(b"a"))
    assert (failure.code, failure.reason) == (grpc.StatusCode.UNAVAILABLE, "INTAKE_FULL")
    assert failure.retry_after_s == 1.0
    answer.set()
    assert await first == await rig.say(b"a") == b"a"


@pytest.mark.parametrize("method", ["Parse", "ParseAll"])
async def test_what_cannot_be_parsed_is_refused_by_us_after_the_key(
    start: Start, method: str, caplog: pytest.LogCaptureFixture
) -> None:
    rig = await start()

    def call(metadata: Any) -> Any:
        if method == "Parse":
            return rig.channel.unary_unary(rig.method(method))(b"nonsense", metadata=metadata)
        return rig.channel.stream_unary(rig.method(method))(iter([b"good", b"nonsense"]), metadata=metadata)

    assert (await failure_of(call(()))).reason == "API_KEY_MISSING"
    failure = await failure_of(call(KEY))
    assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_MALFORMED")
    assert failure.violations[0].field == "request"
    await rig.metric_becomes(1, "grpc_server_handled_total", method, grpc_code="InvalidArgument")
    assert rig.count("i2v_calls_rejected_total", reason="REQUEST_MALFORMED") == 1
    assert "Traceback" not in caplog.text


async def test_a_call_without_its_message_is_refused(start: Start) -> None:
    rig = await start()
    failure = await failure_of(rig.channel.stream_unary(rig.method("Say"))(iter([]), metadata=KEY))
    assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "REQUEST_MISSING")


async def test_every_message_is_checked_before_the_method_sees_it(start: Start) -> None:
    def check(message: bytes) -> None:
        if message == b"wait":
            raise InvalidInput([Violation("word", "is not taken", "WORD_BAD")], reason="WORD_BAD")

    rig = await start(check=check)
    assert from_call(await rig.fails(b"wait")).reason == "WORD_BAD"
    assert not rig.parrot.waiting.is_set()
    assert await rig.say(b"a") == b"a"


@pytest.mark.parametrize("header", ["authorization", "i2v-user"])
async def test_who_calls_is_said_once(start: Start, header: str) -> None:
    rig = await start()
    twice = next(pair for pair in KEY if pair[0] == header)
    failure = from_call(await rig.fails(b"a", metadata=(*KEY, twice)))
    assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "METADATA_REPEATED")
    assert failure.violations[0].field == header
