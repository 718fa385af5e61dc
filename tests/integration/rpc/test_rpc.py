"""Behaviour of every method through services.rpc, shown by a service of plain bytes on a real server."""

import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import grpc
import pytest

from services.errors import Violation
from services.rpc import logs
from services.rpc.concurrent_call_limits import CallLimits
from services.rpc.status_codes import from_call
from tests.support.scripted_rpc_service import KEY, Rig, Start, starting


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    async with starting() as starts:
        yield starts


@pytest.fixture
async def rig(start: Start) -> Rig:
    return await start()


async def three() -> AsyncIterator[bytes]:
    for each in (b"a", b"b", b"c"):
        yield each


CALLS: dict[str, tuple[str, int, int, Callable[[Any, str], Any]]] = {
    "Say": ("unary", 1, 1, lambda channel, method: channel.unary_unary(method)(b"a", metadata=KEY)),
    "Count": ("client_stream", 3, 1, lambda channel, method: channel.stream_unary(method)(three(), metadata=KEY)),
    "Repeat": ("server_stream", 1, 3, lambda channel, method: channel.unary_stream(method)(b"a", metadata=KEY)),
    "Echo": ("bidi_stream", 3, 3, lambda channel, method: channel.stream_stream(method)(three(), metadata=KEY)),
}


@pytest.mark.parametrize("method", CALLS)
async def test_every_kind_of_method_is_counted(rig: Rig, method: str) -> None:
    kind, received, sent, call = CALLS[method]
    made = call(rig.channel, rig.method(method))
    answers = [each async for each in made] if hasattr(made, "__aiter__") else [await made]
    assert len(answers) == sent
    await rig.metric_becomes(1, "grpc_server_handled_total", method, grpc_type=kind, grpc_code="OK")
    assert rig.metric("grpc_server_started_total", method, grpc_type=kind) == 1
    assert rig.metric("grpc_server_msg_received_total", method, grpc_type=kind) == received
    assert rig.metric("grpc_server_msg_sent_total", method, grpc_type=kind) == sent
    assert rig.metric("grpc_server_handling_seconds_count", method, grpc_type=kind) == 1
    assert rig.metric("grpc_server_streams_open", method) == 0


async def test_a_cancelled_stream_is_counted_and_gives_its_resources_back(rig: Rig) -> None:
    call = rig.channel.unary_stream(rig.method("Repeat"))(b"wait", metadata=KEY)
    await anext(aiter(call))
    await rig.parrot.waiting.wait()
    assert rig.metric("grpc_server_streams_open", "Repeat") == 1
    call.cancel()
    await rig.metric_becomes(1, "grpc_server_handled_total", "Repeat", grpc_code="Canceled")
    assert rig.metric("grpc_server_streams_open", "Repeat") == 0
    assert rig.parrot.closed.is_set()


async def test_a_call_that_exceeds_its_deadline_is_counted_as_such(rig: Rig) -> None:
    assert (await rig.fails(b"wait", timeout_s=0.05)).code() is grpc.StatusCode.DEADLINE_EXCEEDED
    await rig.metric_becomes(1, "grpc_server_handled_total", "Say", grpc_code="DeadlineExceeded")


async def test_a_failure_keeps_its_kind_and_its_details(rig: Rig) -> None:
    failure = from_call(await rig.fails(b"invalid"))
    assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "NAME_MISSING")
    assert failure.violations == (Violation("name", "is empty", "NAME_MISSING"),)
    await rig.metric_becomes(1, "grpc_server_handled_total", "Say", grpc_code="InvalidArgument")


async def test_a_stream_may_fail_after_messages(rig: Rig) -> None:
    stream = rig.channel.unary_stream(rig.method("Repeat"))(b"missing", metadata=KEY)
    assert [await stream.read() for _ in range(3)] == [b"missing"] * 3
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stream.read()
    assert from_call(caught.value).reason == "NOT_FOUND"
    await rig.metric_becomes(1, "grpc_server_handled_total", "Repeat", grpc_code="NotFound")


async def test_an_abort_by_the_servicer_is_not_changed(rig: Rig) -> None:
    assert (await rig.fails(b"abort")).details() == "gone"
    await rig.metric_becomes(1, "grpc_server_handled_total", "Say", grpc_code="DataLoss")


async def test_an_unexpected_failure_is_hidden_from_the_caller_and_logged_with_its_id(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    error = await rig.fails(b"break")
    failure = from_call(error)
    assert (failure.code, failure.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL")
    assert "secrets" not in str(error)
    logged = next(each for each in caplog.records if each.levelno == logging.ERROR)
    assert vars(logged)["error_id"] == failure.metadata["error_id"]
    assert "select * from secrets" in caplog.text


async def test_a_handler_that_cancels_itself_still_answers(rig: Rig) -> None:
    assert (await rig.fails(b"cancel")).code() is grpc.StatusCode.INTERNAL


async def test_the_key_identifies_the_tenant_and_the_metadata_the_user(rig: Rig) -> None:
    assert (await rig.say(b"who")).startswith(b"acme/ann/")
    assert (await rig.say(b"who", metadata=KEY[:1])).startswith(b"acme/default/")


@pytest.mark.parametrize(
    ("authorization", "reason"),
    [
        (None, "API_KEY_MISSING"),
        ("", "API_KEY_MISSING"),
        ("Bearer ", "API_KEY_MISSING"),
        ("Basic good-key", "API_KEY_MISSING"),
        ("Bearer bad-key", "API_KEY_UNKNOWN"),
    ],
)
async def test_without_a_known_key_nothing_is_done(rig: Rig, authorization: str | None, reason: str) -> None:
    metadata = () if authorization is None else (("authorization", authorization),)
    failure = from_call(await rig.fails(b"wait", metadata=metadata))
    assert (failure.code, failure.reason) == (grpc.StatusCode.UNAUTHENTICATED, reason)
    assert not rig.parrot.waiting.is_set()


@pytest.mark.parametrize("user", ["", "   ", "x" * 129])
async def test_an_invalid_user_is_named_by_its_field(rig: Rig, user: str) -> None:
    failure = from_call(await rig.fails(b"a", metadata=(KEY[0], ("i2v-user", user))))
    assert (failure.code, failure.violations[0].field) == (grpc.StatusCode.INVALID_ARGUMENT, "i2v-user")


class Lines(logging.Handler):
    """What JsonLines makes of each record, in the context of the call that wrote it."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(logs.JsonLines())
        self.all: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.all.append(json.loads(self.format(record)))


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Iterator[list[dict[str, Any]]]:
    caplog.set_level(logging.INFO)
    handler = Lines()
    logging.getLogger().addHandler(handler)
    yield handler.all
    logging.getLogger().removeHandler(handler)


async def test_the_callers_request_id_is_returned_and_is_in_every_log_line(
    rig: Rig, lines: list[dict[str, Any]]
) -> None:
    call = rig.channel.unary_unary(rig.method("Say"))(b"log", metadata=(*KEY, ("x-request-id", "r-1")))
    assert await call == b"log"
    assert dict(await call.trailing_metadata())["x-request-id"] == "r-1"
    await rig.metric_becomes(1, "grpc_server_handled_total", "Say")
    inner, answered = (next(line for line in lines if line["message"] == text) for text in ("said", "answered"))
    assert inner["request_id"] == answered["request_id"] == "r-1"
    assert (inner["tenant"], inner["job_id"], "user" in inner) == ("acme", "7", False)
    assert (answered["method"], answered["code"]) == ("/test.Parrot/Say", "OK")
    assert "good-key" not in str(lines)


async def test_a_request_id_is_made_when_there_is_no_valid_one(rig: Rig) -> None:
    call = rig.channel.unary_unary(rig.method("Say"))(b"a", metadata=(*KEY, ("x-request-id", "a b")))
    await call
    assert len(str(dict(await call.trailing_metadata())["x-request-id"])) == 16
    error = await rig.fails(b"invalid", metadata=(*KEY, ("x-request-id", "r-2")))
    assert dict(error.trailing_metadata())["x-request-id"] == "r-2"


async def test_a_deadline_that_is_too_short_is_refused_before_the_work(start: Start) -> None:
    rig = await start(limits=CallLimits(least_time_s=60))
    failure = from_call(await rig.fails(b"wait"))
    assert (failure.code, failure.reason) == (grpc.StatusCode.DEADLINE_EXCEEDED, "DEADLINE_TOO_SHORT")
    assert not rig.parrot.waiting.is_set()
    assert await rig.say(b"a", timeout_s=None) == b"a"


async def test_a_message_beyond_the_limit_is_refused(rig: Rig) -> None:
    assert (await rig.fails(b"x" * (4 * 1024 * 1024 + 1))).code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_without_a_check_of_keys_every_call_is_allowed(start: Start) -> None:
    rig = await start(verify=None)
    assert await rig.say(b"a", metadata=()) == b"a"
