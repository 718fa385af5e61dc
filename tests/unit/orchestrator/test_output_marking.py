"""The mark takes no longer than a job has time, and no failure of it reaches the job."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from services.orchestrator.attempt.output_marking import OutputMarking
from services.orchestrator.domain.media_info import VideoInfo
from services.orchestrator.ports.media import NotMarked
from tests.support.builders import NOON, FakeClock, a_job

INFO = VideoInfo("video/mp4", 64, 32, 8, 8, 1)
VIDEO = Path("video.mp4")


class SlowMarker:
    """Works until it is cancelled."""

    def __init__(self) -> None:
        self.begun, self.stopped = asyncio.Event(), asyncio.Event()

    async def mark(self, path: Path, info: VideoInfo, *, tenant: str) -> tuple[VideoInfo, Path]:
        self.begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.stopped.set()
        raise NotMarked("never")


class BrokenMarker:
    async def mark(self, path: Path, info: VideoInfo, *, tenant: str) -> tuple[VideoInfo, Path]:
        raise ZeroDivisionError


async def test_the_mark_gets_half_of_the_time_to_the_deadline() -> None:
    slow = SlowMarker()
    job = a_job(expire_time=NOON + timedelta(seconds=0.2))
    with pytest.raises(NotMarked, match="too little time before the job's deadline"):
        await OutputMarking(slow, FakeClock(NOON)).add(job, INFO, VIDEO)
    assert slow.stopped.is_set()


async def test_after_the_deadline_there_is_no_time_for_it() -> None:
    clock = FakeClock(NOON + timedelta(hours=1))
    with pytest.raises(NotMarked, match="too little time"):
        await OutputMarking(SlowMarker(), clock).add(a_job(), INFO, VIDEO)


async def test_the_mark_of_a_stopped_attempt_stops() -> None:
    slow = SlowMarker()
    work = asyncio.create_task(OutputMarking(slow, FakeClock(NOON)).add(a_job(), INFO, VIDEO))
    await slow.begun.wait()
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert slow.stopped.is_set()


async def test_an_error_in_the_mark_is_logged_and_the_video_stays(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(NotMarked, match="internal error"):
        await OutputMarking(BrokenMarker(), FakeClock(NOON)).add(a_job(), INFO, VIDEO)
    assert "ZeroDivisionError" in caplog.text
