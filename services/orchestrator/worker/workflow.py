"""A worker: takes admitted jobs from the durable queue and makes attempts at them until it is stopped.

The run of a job is a loop around `AttemptRunner.run` and has no steps of its own: the job's events say what has
happened to it. So a run that begins again, on this worker or another, continues with the next attempt.

A worker also runs a reaper, which handles orphaned and overdue jobs, so that every reservation is settled.
"""

import asyncio
import logging
from collections.abc import Set
from typing import assert_never

from services.errors import Unavailable
from services.orchestrator.attempt.result import AwaitsReconciliation, JobEnded, Requeued, RetryAfter, TakenOver
from services.orchestrator.attempt.runner import AttemptRunner
from services.orchestrator.ports.job_queue import JobQueue
from services.orchestrator.ports.workers import Workers
from services.orchestrator.worker.reaper import HEARTBEAT_S, Reaper
from services.rpc import logs

DATABASE_RETRY_S, FAULT_RETRY_S = 1.0, 15.0
"""Seconds before the next attempt, while the database is away and after an unexpected error."""
REQUEUE_S = 0.1
"""Seconds that a stopped job waits, so that several are requeued together."""

log = logging.getLogger(__name__)


class Worker:
    """Runs jobs on this process's event loop until it is stopped."""

    def __init__(
        self, *, runner: AttemptRunner, reaper: Reaper, workers: Workers, queue: JobQueue, silent_s: float
    ) -> None:
        self._runner = runner
        self._reaper = reaper
        self._workers = workers
        self._queue = queue
        self._idle_s = max(HEARTBEAT_S, silent_s)
        self._running: dict[asyncio.Task[object], str] = {}
        """The tasks that run jobs, each with its queue entry."""
        self._stopping = False
        self._background: list[asyncio.Task[None]] = []
        """Keeping the name, reaping, and requeueing entries that this worker does not run."""

    async def start(self) -> None:
        """Requeues what an earlier run of this worker left behind, then takes jobs from the queue.

        Raises:
            RuntimeError: another worker of this process is running, or is still stopping.
        """
        self._queue.reserve()
        self._stopping = False
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def _start(self) -> None:
        await self._workers.enter()
        self._background.append(asyncio.create_task(self._workers.hold(), name="hold"))
        await self._queue.start(self._run_job)
        self._background.append(asyncio.create_task(self._reaper.reap(), name="reaper"))
        self._background.append(asyncio.create_task(self._requeue_idle(), name="idle"))

    async def lost(self) -> None:
        """Waits until this worker cannot continue, and raises why: another has its name. The caller must stop it."""
        await asyncio.shield(self._background[0])

    async def stop(self) -> None:
        """Takes no more jobs and stops the running ones; their next attempts run elsewhere or after a restart.

        An attempt that is submitting a task waits for the answer first. A stopped job is requeued immediately.
        """
        self._stopping = True
        self._queue.stop()
        try:
            await self._stop_jobs()
        finally:
            await self._end()

    async def _stop_jobs(self) -> None:
        """Cancels each attempt, once: a second cancel would end its wait for an answer."""
        entries = dict(self._running)
        running = set(entries)
        for task in running:
            task.cancel()
        while running:
            stopped, running = await asyncio.wait(running, timeout=REQUEUE_S)
            if not stopped:
                continue
            try:
                await self._workers.put_back([entries[task] for task in stopped])
            except Unavailable:
                log.warning("the database is away; stopped jobs wait until it is back")

    async def _end(self) -> None:
        """Closes the queue and releases the name. A cancel waits for this, which takes seconds."""
        ending = asyncio.create_task(self._finish(), name="worker-end")
        cancelled = False
        while not ending.done():
            try:
                await asyncio.wait({ending})
            except asyncio.CancelledError:
                cancelled = True
        ending.result()
        if cancelled:
            raise asyncio.CancelledError

    async def _finish(self) -> None:
        # Heartbeats were sent until here: no worker must take over jobs that wait for an answer.
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        self._background.clear()  # a failed start is repeated
        try:
            await self._queue.close()
        finally:
            # Now no entry arrives any more; entries that had just been taken are requeued with the rest.
            await self._workers.leave()

    async def _requeue_idle(self) -> None:
        """Requeues entries that this worker has taken but, as two checks in a row have found, does not run.

        Such an entry was dequeued, but the answer was lost with the connection. No other worker takes it over, because
        this one is alive. Runs until cancelled.
        """
        before: Set[str] = set()
        while True:
            await asyncio.sleep(self._idle_s)
            try:
                idle = await self._workers.taken() - set(self._running.values())
                if lost := idle & before:
                    log.warning("jobs were taken and are not run; they are requeued", extra={"jobs": len(lost)})
                    await self._workers.put_back(lost)
                before = idle - lost
            except Exception:
                log.warning("the check for jobs that are not run failed; it is repeated", exc_info=True)

    async def _run_job(self, job_id: str, entry: str) -> None:
        task = asyncio.current_task()
        assert task is not None
        logs.bind(job_id=job_id)
        self._running[task] = entry
        try:
            wait_s = 0.0
            while True:
                if self._stopping:
                    raise asyncio.CancelledError  # a return would end the queue entry
                await asyncio.sleep(wait_s)
                try:
                    if wait_s and not await self._workers.has(entry):
                        # The entry was requeued while this worker sent no heartbeats.
                        log.warning("another worker has the job", extra={"job_id": job_id})
                        raise asyncio.CancelledError
                    result = await self._runner.run(job_id, entry)
                except Unavailable:  # no traceback: a thousand jobs may log this each second
                    log.warning("the database is away; the attempt begins again", extra={"job_id": job_id})
                    wait_s = DATABASE_RETRY_S
                except Exception:
                    # Ending here would lose the job. Its deadline ends this at the latest.
                    log.exception("the attempt failed with an unexpected error; it begins again")
                    wait_s = FAULT_RETRY_S
                else:
                    match result:
                        case RetryAfter(wait_s=wait_s):
                            continue
                        case JobEnded() | Requeued() | AwaitsReconciliation() | TakenOver():
                            return
                        case _:
                            assert_never(result)
        finally:
            self._running.pop(task, None)
