"""A worker runs each job until there is nothing left to do, and hands back what it stops, with any kind of queue."""

import asyncio
from collections.abc import Awaitable, Callable, Collection

import pytest

from services.errors import Unavailable
from services.orchestrator.attempt.result import AttemptResult, JobEnded, RetryAfter
from services.orchestrator.ports.job_queue import RunJob
from services.orchestrator.worker.workflow import Worker


class MemoryQueue:
    """A job queue in memory."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self._run: RunJob | None = None

    def reserve(self) -> None:
        self.calls.append("reserve")

    async def start(self, run: RunJob) -> None:
        self.calls.append("start")
        self._run = run

    def stop(self) -> None:
        self.calls.append("stop")

    async def close(self) -> None:
        self.calls.append("close")

    def deliver(self, job_id: str) -> asyncio.Task[None]:
        assert self._run is not None
        return asyncio.ensure_future(self._run(job_id, f"entry-{job_id}"))


class ListedWorkers:
    """The list of workers, with this one on it."""

    def __init__(self, *, lost: Collection[str] = ()) -> None:
        self.requeued: list[str] = []
        self.left = False
        self._lost = lost
        self.name_taken = False

    async def enter(self) -> None:
        if self.name_taken:
            raise Unavailable("The name is taken.", reason="NAME_TAKEN")

    async def hold(self) -> None:
        await asyncio.get_running_loop().create_future()

    async def leave(self) -> None:
        self.left = True

    async def has(self, entry: str) -> bool:
        return entry not in self._lost

    async def put_back(self, entries: Collection[str]) -> None:
        self.requeued += entries


class IdleReaper:
    async def reap(self) -> None:
        await asyncio.get_running_loop().create_future()


class Attempts:
    """Makes attempts by a script."""

    def __init__(self, script: Callable[[int], Awaitable[AttemptResult]]) -> None:
        self.made = 0
        self._script = script

    async def run(self, job_id: str, entry: str) -> AttemptResult:
        self.made += 1
        return await self._script(self.made)


def a_worker(attempts: Attempts, workers: ListedWorkers, queue: MemoryQueue) -> Worker:
    return Worker(runner=attempts, reaper=IdleReaper(), workers=workers, queue=queue, silent_s=60)


async def test_a_job_runs_until_no_attempt_is_left() -> None:
    async def script(number: int) -> AttemptResult:
        return RetryAfter(0.01) if number < 3 else JobEnded()

    attempts, workers, queue = Attempts(script), ListedWorkers(), MemoryQueue()
    worker = a_worker(attempts, workers, queue)
    await worker.start()
    await queue.deliver("a")
    await worker.stop()
    assert attempts.made == 3
    assert workers.requeued == [] and workers.left
    assert queue.calls == ["reserve", "start", "stop", "close"]


async def test_a_stopped_worker_hands_back_the_jobs_that_it_was_running() -> None:
    running = asyncio.Event()

    async def script(number: int) -> AttemptResult:
        running.set()
        await asyncio.get_running_loop().create_future()
        return JobEnded()

    workers, queue = ListedWorkers(), MemoryQueue()
    worker = a_worker(Attempts(script), workers, queue)
    await worker.start()
    run = queue.deliver("a")
    await running.wait()
    await worker.stop()
    assert run.cancelled()
    assert workers.requeued == ["entry-a"]


async def test_an_entry_that_arrives_during_the_stop_is_not_run() -> None:
    async def script(number: int) -> AttemptResult:
        raise AssertionError("it ran")

    workers, queue = ListedWorkers(), MemoryQueue()
    worker = a_worker(Attempts(script), workers, queue)
    await worker.start()
    await worker.stop()
    with pytest.raises(asyncio.CancelledError):
        await queue.deliver("late")


async def test_a_wait_ends_without_an_attempt_if_another_worker_has_the_job() -> None:
    async def script(number: int) -> AttemptResult:
        return RetryAfter(0.01)

    attempts, workers, queue = Attempts(script), ListedWorkers(lost=["entry-a"]), MemoryQueue()
    worker = a_worker(attempts, workers, queue)
    await worker.start()
    with pytest.raises(asyncio.CancelledError):
        await queue.deliver("a")
    await worker.stop()
    assert attempts.made == 1


async def test_a_start_that_fails_closes_the_queue() -> None:
    async def script(number: int) -> AttemptResult:
        return JobEnded()

    workers, queue = ListedWorkers(), MemoryQueue()
    workers.name_taken = True
    with pytest.raises(Unavailable):
        await a_worker(Attempts(script), workers, queue).start()
    assert queue.calls == ["reserve", "stop", "close"] and workers.left
