"""Durable execution: every admitted job is a DBOS workflow in the same database, run by any worker that is free.

The workflow is a loop around `AttemptRunner.run` and has no steps of its own: a job's history is in its events, so a
workflow that runs a second time, on this worker or another, continues with the next attempt.

A worker also runs a reaper, which ends or requeues jobs that no worker runs, so that every reservation is settled.
"""

import asyncio
import logging
from collections.abc import Mapping, Set
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar, assert_never

from dbos import DBOS, DBOSClient, DBOSConfig

from services.errors import Unavailable
from services.orchestrator.attempt.result import AwaitsReconciliation, JobEnded, Requeued, RetryAfter, TakenOver
from services.orchestrator.attempt.runner import AttemptRunner
from services.orchestrator.ports.backend import Limits
from services.orchestrator.ports.workers import Workers
from services.orchestrator.store.database import KEEPALIVE
from services.orchestrator.worker.queue_poller import POLL_S, Entries, QueuePoller
from services.orchestrator.worker.reaper import BEAT_S, Reaper

MAKE_VIDEO = "make_video"
APPLICATION_VERSION = "1"
"""Changed by hand: DBOS runs a workflow only under the version with which it was enqueued."""
APPLICATION_NAME = "i2v-orchestrator"
UNLIMITED = 10_000
"""Jobs of one tenant at a time. With a limit, even a high one, a queue serves its tenants in turn."""
NOTIFIER_S = 0.2
"""Seconds between DBOS's polls for messages of workflows. Ours send none; the default is a hundred polls a second."""
RECOVERIES = 1_000_000
"""Practically no limit: a job ends by its own deadline."""
DATABASE_RETRY_S, FAULT_RETRY_S = 1.0, 15.0
"""Seconds before the next attempt, while the database is away and after an unexpected error."""
REQUEUE_S = 0.1
"""Seconds that a stopped job waits, so that several are requeued together."""

log = logging.getLogger(__name__)


def migrate_queue(url: str) -> None:
    """Migrates DBOS's own tables, in the schema `dbos` of the same database, to the version of the library."""
    DBOS.migrate(url)


def _register_queues(url: str, slots: Mapping[str, Limits]) -> None:
    """Registers the queues, one per backend, before the launch: DBOS reads the list then, and every second later."""
    client = DBOSClient(system_database_url=url, application_name=APPLICATION_NAME)
    try:
        for backend, limits in slots.items():
            client.register_queue(
                backend,
                worker_concurrency=limits.per_worker,
                global_concurrency=limits.total,
                limiter={"limit": limits.per_minute, "period": 60.0} if limits.per_minute else None,
                partition_concurrency=min(UNLIMITED, limits.total or UNLIMITED),
                polling_interval_sec=POLL_S,
            )
    finally:
        client.destroy()


class Worker:
    """Runs jobs on this process's event loop until it is stopped. A process can have one."""

    _alive: ClassVar[bool] = False
    """True from the start of a worker until everything that DBOS runs for it has ended."""

    def __init__(
        self,
        url: str,
        *,
        runner: AttemptRunner,
        reaper: Reaper,
        workers: Workers,
        slots: Mapping[str, Limits],
        entries: Entries,
        silent_s: float,
    ) -> None:
        self._url = url
        self._runner = runner
        self._reaper = reaper
        self._workers = workers
        self._slots = slots
        self._queue_poller = QueuePoller(entries)
        self._idle_s = max(BEAT_S, silent_s)
        self._running: dict[asyncio.Task[object], str] = {}
        """The tasks that run jobs, each with its queue entry."""
        self._stopping = False
        self._background: list[asyncio.Task[None]] = []
        """They keep the name, reap, and requeue entries that are not run."""

    async def start(self) -> None:
        """Starts to work: first on what earlier incarnations of this worker left, then on the queues.

        Raises:
            RuntimeError: this process has another worker, which runs or is still stopping.
        """
        if Worker._alive:
            # DBOS would give this one the other's object, with the other's database, and destroy it for both.
            raise RuntimeError("a process has room for one worker, and the one before has not stopped yet")
        Worker._alive, self._stopping = True, False
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def _start(self) -> None:
        config: DBOSConfig = {
            "name": APPLICATION_NAME,
            "system_database_url": self._url,
            "application_version": APPLICATION_VERSION,
            "executor_id": self._workers.executor,
            "enable_otlp": False,
            "log_level": "WARNING",
            "sys_db_pool_size": 4,
            "notification_coalesce_sec": NOTIFIER_S,
            "db_engine_kwargs": {"connect_args": dict(KEEPALIVE)},
        }
        dbos = DBOS(config=config)

        async def make_video(job_id: str) -> None:
            await self._make_video(job_id)

        DBOS.workflow(name=MAKE_VIDEO, max_recovery_attempts=RECOVERIES)(make_video)
        await self._workers.enter()
        self._background.append(asyncio.create_task(self._workers.hold(), name="hold"))
        await asyncio.to_thread(_register_queues, self._url, self._slots)
        DBOS.listen_queues([])  # the queue poller does
        DBOS.launch()
        # Only the queues of this worker's backends: the database may have queues of others.
        self._queue_poller.start(dbos, self._slots)
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
        self._queue_poller.stop()
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
        """Ends DBOS and releases the name. A cancel waits for this, which takes seconds."""
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
        self._queue_poller.stop()
        for task in self._background:  # heartbeats run until here: jobs that wait for an answer must not be taken over
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        self._background.clear()  # a start that failed is repeated
        # DBOS made its threads the loop's default and is about to end them; other code still needs some.
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor())
        try:
            await asyncio.to_thread(self._queue_poller.join)
            await asyncio.to_thread(DBOS.destroy, destroy_registry=True)
        finally:
            loop.set_default_executor(ThreadPoolExecutor())
            Worker._alive = False
            # Now no thread dequeues any more; entries that one had just taken are requeued with the rest.
            await self._workers.leave()

    async def _requeue_idle(self) -> None:
        """Requeues entries that this worker has taken and does not run, if two checks in a row find them.

        The answer to their dequeuing was lost with the connection, and no other worker takes over from a living one.
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

    async def _make_video(self, job_id: str) -> None:
        task, entry = asyncio.current_task(), DBOS.workflow_id
        assert task is not None and entry is not None
        self._running[task] = entry
        task.add_done_callback(lambda _: self._queue_poller.wake())  # DBOS's own task: by then the slot is free
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
