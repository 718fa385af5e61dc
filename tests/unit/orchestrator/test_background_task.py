"""Background tasks: a failure is logged and counted at once, the work goes on, and the stop is not disturbed."""

import asyncio
import logging
from contextlib import AsyncExitStack

import pytest

from services.orchestrator.background_task import run_in_background


class Work:
    """Work that does what each of its starts was given, and then runs until it is cancelled."""

    def __init__(self, *starts: BaseException | None, at_stop: Exception | None = None) -> None:
        self._starts = list(starts)
        self._at_stop = at_stop
        self.begun = 0
        self.running = asyncio.Event()
        self.stopped = False

    async def run(self) -> None:
        self.begun += 1
        if self._starts:
            first = self._starts.pop(0)
            if first is None:
                return
            raise first
        self.running.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.stopped = True
            if self._at_stop is not None:
                raise self._at_stop


@pytest.mark.parametrize("end", [RuntimeError("broken"), asyncio.CancelledError(), None], ids=repr)
async def test_work_that_ends_by_itself_is_logged_counted_and_started_again(
    end: BaseException | None, caplog: pytest.LogCaptureFixture
) -> None:
    work, failed = Work(end, end), list[str]()
    async with AsyncExitStack() as stack:
        run_in_background(stack, work.run, "revocation", failed.append, again_s=0.001)
        async with asyncio.timeout(5):
            await work.running.wait()
        assert failed == ["revocation", "revocation"]  # before the stop
        logged = [record for record in caplog.records if record.levelno == logging.ERROR]
        assert [getattr(record, "task", "") for record in logged] == ["revocation", "revocation"]
        if end is not None:
            assert all(record.exc_info and record.exc_info[1] is end for record in logged)
    assert work.begun == 3
    assert work.stopped


async def test_work_that_fails_while_it_is_stopped_is_logged_and_the_stop_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    work, closed, failed = Work(at_stop=RuntimeError("broken")), list[str](), list[str]()
    async with AsyncExitStack() as stack:
        stack.callback(closed.append, "the database")
        run_in_background(stack, work.run, "health", failed.append)
        await work.running.wait()
    assert closed == ["the database"]
    assert work.begun == 1
    assert failed == []
    assert "failed while it was stopped" in caplog.text


async def test_a_stop_during_the_pause_after_a_failure_starts_nothing_more() -> None:
    work = Work(RuntimeError("broken"))
    counted = asyncio.Event()
    async with AsyncExitStack() as stack:
        run_in_background(stack, work.run, "drains", lambda _: counted.set(), again_s=60.0)
        async with asyncio.timeout(5):
            await counted.wait()
    assert work.begun == 1
