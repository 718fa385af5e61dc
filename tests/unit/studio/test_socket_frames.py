"""The pictures of fragments, and the pace at which a connection gets them."""

import asyncio
import base64
import io
from collections.abc import AsyncGenerator, Callable
from typing import cast

import pytest
from i2v.v1 import job_pb2
from PIL import Image
from prometheus_client import CollectorRegistry

from services.orchestrator.domain.spec import Size
from services.studio.caller import Caller
from services.studio.socket import decoder
from services.studio.socket.feed import Feed, frame_of
from services.studio.socket.follower import Follower
from services.studio.socket.frames import SENDS_MOST, Frames
from services.studio.socket.pace import PENDING_MOST, Pace
from services.studio.socket.pictures import UnreadableError
from services.studio.socket.socket_metrics import SocketMetrics
from services.studio.streams.api import StreamApi
from services.studio.streams.resumed_watch import ResumedWatch
from tests.support.live_fragments import fragments


def test_a_fragment_becomes_a_jpeg_for_each_frame() -> None:
    made = decoder.decode(fragments([5], fps=8)[0])
    assert (len(made.data), made.fps) == (5, 8)
    shown = Image.open(io.BytesIO(base64.b64decode(made.data[4].partition(",")[2])))
    assert (shown.format, shown.size) == ("JPEG", (64, 32))


def test_large_frames_are_made_smaller() -> None:
    made = decoder.decode(fragments([1], size=Size(2560, 64))[0])
    assert Image.open(io.BytesIO(base64.b64decode(made.data[0].partition(",")[2]))).size == (1280, 32)


@pytest.mark.parametrize("part", [b"", b"<html>", bytes(1000), fragments([4])[0][:200], fragments([4])[0][500:]])
def test_what_is_no_fragment_is_refused(part: bytes) -> None:
    with pytest.raises(UnreadableError):
        decoder.decode(part)


async def test_a_client_that_acknowledges_gets_as_many_as_it_takes() -> None:
    pace = Pace(lambda: 0, first_ack_s=60)
    for _ in range(PENDING_MOST):
        assert await pace.turn(16)
    waits = asyncio.ensure_future(pace.turn(16))
    await asyncio.sleep(0)
    assert not waits.done()
    pace.acknowledge()
    assert await waits


async def test_a_client_that_acknowledges_nothing_gets_what_its_connection_takes() -> None:
    queued = 10
    pace = Pace(lambda: queued, first_ack_s=0.01)
    for _ in range(PENDING_MOST):
        assert await pace.turn(1000)
    waits = asyncio.ensure_future(pace.turn(1000))
    await asyncio.sleep(0.1)
    assert not waits.done()
    queued = 0
    assert await waits is False
    queued = 10
    pace.acknowledge()  # a late one
    assert await pace.turn(1000)


async def test_few_frames_are_put_into_packets_at_a_time_for_all_connections_together() -> None:
    part, sending, most, sent, all_sent = fragments([4])[0], 0, 0, 0, asyncio.Event()
    ready = job_pb2.JobEvent(sequence=1, fragment_ready=job_pb2.FragmentReady(asset="assets/a", frames=4))

    messages = [job_pb2.WatchJobResponse(event=ready).SerializeToString()]

    class Call:
        async def read(self) -> bytes:
            return messages.pop() if messages else await asyncio.Future()

        def cancel(self) -> None:
            """Ends."""

    class Files:
        async def read(self, *asked: object) -> AsyncGenerator[bytes, None]:
            yield part

    async def say(event: str, data: object, room: str) -> None:
        """No one is in the room."""

    async def send(event: str, data: object, noted: Callable[[], None] | None) -> None:
        nonlocal sending, most, sent
        sending += 1
        most = max(most, sending)
        await asyncio.sleep(0)
        sending, sent = sending - 1, sent + 1
        if noted is not None:
            noted()
        if sent == 80:
            all_sent.set()

    who, metrics = Caller((("authorization", "Bearer k"),)), SocketMetrics(CollectorRegistry())
    frames = Frames(cast("StreamApi", Files()), 1, metrics)
    feed = Feed(who, job_pb2.Job(name="jobs/a"), ResumedWatch(lambda _: Call(), frame_of, 0, 1, lambda: None), say)
    followers = [
        Follower(feed, 0, send, Pace(lambda: 0), frames, metrics, away_s=1, ended=lambda: None) for _ in range(20)
    ]
    async with asyncio.timeout(60):
        await all_sent.wait()
    assert most == SENDS_MOST
    for each in (*followers, feed, frames):
        each.close()
