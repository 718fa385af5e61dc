"""Streams of events without a network: what is sent, and how they end."""

import asyncio
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from i2v.v1 import job_pb2, usage_pb2
from prometheus_client import CollectorRegistry

from services.studio.api_error import ApiError
from services.studio.caller import Caller
from services.studio.metrics import StudioMetrics
from services.studio.streams import event_frame, event_line
from services.studio.streams.event_stream import EventStream, Form
from services.studio.streams.open_streams import OpenStreams
from services.studio.streams.resumed_watch import ResumedWatch

WHO = Caller((("authorization", "Bearer key"),))
NO_METADATA = grpc.aio.Metadata()


def event(sequence: int, **body: Any) -> bytes:
    made = job_pb2.JobEvent(sequence=sequence, **(body or {"progressed": job_pb2.Progressed(progress=0.5)}))
    return job_pb2.WatchJobResponse(event=made).SerializeToString()


def failed(code: grpc.StatusCode) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(code, NO_METADATA, NO_METADATA, "of the network")


class Call:
    """A call with these messages; then it ends, waits or fails."""

    def __init__(self, messages: list[bytes], end: Any = None) -> None:
        self.messages, self.end, self.cancelled = messages, end, False
        self._gone = asyncio.Event()

    async def read(self) -> Any:
        if self.messages:
            return self.messages.pop(0)
        if isinstance(self.end, Exception):
            raise self.end
        if self.end is None:
            await self._gone.wait()
            raise asyncio.CancelledError  # as gRPC does when its own side cancels
        return self.end

    def cancel(self) -> None:
        self.cancelled = True
        self._gone.set()


class Api:
    """Answers each call of a watch by the next of these."""

    def __init__(self, *calls: Call) -> None:
        self.calls, self.after = list(calls), list[int]()
        self.resumed = 0

    def begin(self, after: int) -> Call:
        self.after.append(after)
        return self.calls[len(self.after) - 1]

    def note(self) -> None:
        self.resumed += 1

    def watch(self, after: int = 0, away_s: float = 60.0, **options: Any) -> ResumedWatch:
        return ResumedWatch(self.begin, event_frame.of_job, after, away_s, self.note, **options)


SUCCEEDED: dict[str, Any] = {"succeeded": job_pb2.Succeeded()}


async def test_a_broken_call_is_followed_by_one_for_what_is_missing() -> None:
    api = Api(
        Call([event(1), event(2)], failed(grpc.StatusCode.UNAVAILABLE)),
        Call([], failed(grpc.StatusCode.CANCELLED)),
        Call([event(2), event(3)], grpc.aio.EOF),
        Call([event(4, **SUCCEEDED)]),
    )
    watch = api.watch()
    frames = [await watch.read() for _ in range(4)]
    assert [frame.sequence for frame in frames if frame] == [1, 2, 3, 4]
    assert api.after == [0, 2, 2, 3]
    assert api.resumed == 3
    assert all(call.cancelled for call in api.calls[:3])


@pytest.mark.parametrize(
    ("code", "begun", "away_s"),
    [
        (grpc.StatusCode.UNAVAILABLE, False, 60.0),  # the request is refused: nothing was promised
        (grpc.StatusCode.UNAVAILABLE, True, 0.0),
        (grpc.StatusCode.UNAUTHENTICATED, True, 60.0),
        (grpc.StatusCode.NOT_FOUND, True, 60.0),
    ],
)
async def test_a_watch_fails_when_time_does_not_help_or_is_over(
    code: grpc.StatusCode, begun: bool, away_s: float
) -> None:
    watch = Api(Call([], failed(code))).watch(away_s=away_s)
    watch.begun = begun
    with pytest.raises(ApiError) as caught:
        await watch.read()
    assert caught.value.failure.code is code


async def test_a_silent_call_counts_as_broken() -> None:
    api = Api(Call([event(1)]), Call([event(2)]))
    watch = api.watch(silence_s=0.01)
    frames = [await watch.read(), await watch.read()]
    assert [frame.sequence for frame in frames if frame] == [1, 2]
    assert api.calls[0].cancelled
    watch.close()


async def test_a_watch_that_is_stopped_has_no_more_also_while_the_api_is_away() -> None:
    for call in (Call([]), Call([], failed(grpc.StatusCode.UNAVAILABLE))):
        api = Api(call, *(Call([], failed(grpc.StatusCode.UNAVAILABLE)) for _ in range(9)))
        watch = api.watch()
        watch.begun = True
        reading = asyncio.create_task(watch.read())
        await asyncio.sleep(0)
        watch.stop()
        async with asyncio.timeout(30):
            assert await reading is None


class Streams:
    """One open stream, and what it sends."""

    def __init__(self, api: Api, send: Callable[[Any], Any] | None = None, **options: Any) -> None:
        self.metrics = StudioMetrics(CollectorRegistry())
        self.open = OpenStreams(10, 10, self.metrics)
        self.sent: list[bytes] = []
        self.aborted = False
        self._gone = asyncio.Event()
        watch = api.watch()
        first = asyncio.create_task(watch.read())
        form = options.pop("form", Form.EVENTS)
        place = self.open.enter(WHO)
        place.stop = watch.stop
        self.response = EventStream(watch, first, form, place, **{"stall_s": 30.0, **options})
        self._send = send

    async def answer(self) -> None:
        scope = {"type": "http", "method": "GET", "state": {"abort": self._abort}}
        await self.response(scope, self._receive, self._note)
        await asyncio.sleep(0)

    async def _note(self, message: Any) -> None:
        self.sent.append(message.get("body", b""))
        if self._send:
            await self._send(message)

    async def _receive(self) -> Any:
        await self._gone.wait()
        return {"type": "http.disconnect"}

    def _abort(self) -> None:
        self.aborted = True
        self._gone.set()

    def ended(self, how: str) -> float:
        return self.metrics.streams_ended.labels(how)._value.get()  # type: ignore[no-any-return]


async def test_a_stream_says_when_to_connect_again_and_ends_with_the_last_event() -> None:
    streams = Streams(Api(Call([event(1), event(2, **SUCCEEDED)])))
    async with asyncio.timeout(30):
        await streams.answer()
    text = b"".join(streams.sent).decode()
    assert text.startswith(": stream open\nretry: 2000\n\nid: 1\nevent: progressed\ndata: {")
    assert text.endswith("\n\n") and "\nid: 2\nevent: succeeded\n" in text
    assert (streams.ended("complete"), streams.metrics.streams_open._value.get()) == (1, 0)


async def test_a_reader_that_takes_nothing_is_ended_and_its_connection_broken_off() -> None:
    async def full(message: Any) -> None:
        if message.get("body"):
            await asyncio.Event().wait()

    call = Call([event(1)])
    streams = Streams(Api(call), full, stall_s=0.01)
    async with asyncio.timeout(30):
        await streams.answer()
    assert streams.aborted and call.cancelled
    assert streams.ended("slow") == 1


async def test_a_silent_stream_has_comments_that_keep_the_connection() -> None:
    enough = asyncio.Event()
    streams = Streams(Api(Call([event(1)])), keep_alive_s=0.01)

    async def note(message: Any) -> None:
        if streams.sent.count(b": keep-alive\n\n") == 2:
            enough.set()

    streams._send = note
    async with asyncio.timeout(30):
        answering = asyncio.create_task(streams.answer())
        await enough.wait()
        streams.open.stop()
        await answering
    assert streams.ended("stopped") == 1


async def test_a_failure_after_the_first_byte_is_an_event_with_the_reason() -> None:
    for form, expected in ((Form.EVENTS, "event: error\ndata: {"), (Form.LINES, "The stream ended: ")):
        streams = Streams(Api(Call([event(1)], failed(grpc.StatusCode.NOT_FOUND))), form=form)
        async with asyncio.timeout(30):
            await streams.answer()
        assert expected in b"".join(streams.sent).decode()
        assert streams.ended("failed") == 1


def test_a_message_is_encoded_once_for_all_its_streams() -> None:
    assert event_frame.of_job(event(7)) is event_frame.of_job(event(7))
    waiting = job_pb2.WatchJobResponse(heartbeat=job_pb2.Heartbeat(queue_place=3)).SerializeToString()
    assert event_frame.of_job(waiting).data.startswith(b"event: heartbeat\ndata: {")
    quiet = job_pb2.WatchJobResponse(heartbeat=job_pb2.Heartbeat()).SerializeToString()
    assert event_frame.of_job(quiet).data == b""
    beat = usage_pb2.WatchUsageResponse(heartbeat=usage_pb2.UsageHeartbeat()).SerializeToString()
    assert event_frame.of_usage(beat).data == b""


def test_every_kind_of_event_has_a_line_and_none_changes_the_terminal() -> None:
    kinds = job_pb2.JobEvent.DESCRIPTOR.oneofs_by_name["event"].fields
    for kind in kinds:
        made = job_pb2.JobEvent(sequence=3)
        getattr(made, kind.name).SetInParent()
        assert kind.name.replace("_", " ") in event_line.of(made)
    wild = job_pb2.JobEvent(prompt_written=job_pb2.PromptWritten(prompt="a\n\x1b[31mred"))
    assert event_line.of(wild).count("\n") == 1
    assert "\x1b" not in event_line.of(wild)
    assert "unknown" in event_line.of(job_pb2.JobEvent(sequence=1))
