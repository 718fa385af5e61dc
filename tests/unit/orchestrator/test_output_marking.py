"""The mark takes no longer than a job has time, and no failure of it reaches the job."""

import asyncio
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from services.orchestrator.attempt.output_marking import OutputMarking
from services.orchestrator.domain.media_info import VideoInfo
from services.orchestrator.ports.media import NotMarked
from tests.support.builders import NOON, FakeClock, a_job

INFO = VideoInfo("video/mp4", 64, 32, 8, 8, 1)
VIDEO = Path("video.mp4")


class SlowMark:
    """Works until the caller gives up."""

    def __init__(self) -> None:
        self.begun, self.stopped = threading.Event(), threading.Event()

    def __call__(self, path: Path, info: VideoInfo, given_up: Callable[[], bool]) -> tuple[VideoInfo, Path]:
        self.begun.set()
        while not given_up():
            pass
        self.stopped.set()
        raise NotMarked("given up")


async def stopped(slow: SlowMark) -> None:
    assert await asyncio.to_thread(slow.stopped.wait, 60)


async def test_the_mark_gets_half_of_the_time_to_the_deadline() -> None:
    slow, clock = SlowMark(), FakeClock(NOON)
    job = a_job(expire_time=NOON + timedelta(seconds=0.2))
    with pytest.raises(NotMarked, match="too little time before the job's deadline"):
        await OutputMarking(slow, clock).add(job, INFO, VIDEO)
    await stopped(slow)


async def test_nothing_begins_after_the_deadline() -> None:
    clock = FakeClock(NOON + timedelta(hours=1))
    with pytest.raises(NotMarked, match="too little time"):
        await OutputMarking(SlowMark(), clock).add(a_job(), INFO, VIDEO)


async def test_the_mark_of_a_stopped_attempt_stops() -> None:
    slow = SlowMark()
    work = asyncio.create_task(OutputMarking(slow, FakeClock(NOON)).add(a_job(), INFO, VIDEO))
    assert await asyncio.to_thread(slow.begun.wait, 60)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    await stopped(slow)


async def test_an_error_in_the_mark_is_logged_and_the_video_stays(caplog: pytest.LogCaptureFixture) -> None:
    def broken(path: Path, info: VideoInfo, given_up: Callable[[], bool]) -> tuple[VideoInfo, Path]:
        raise ZeroDivisionError

    with pytest.raises(NotMarked, match="internal error"):
        await OutputMarking(broken, FakeClock(NOON)).add(a_job(), INFO, VIDEO)
    assert "ZeroDivisionError" in caplog.text
