"""Durable execution: every admitted job is a DBOS workflow in the same database, run by whichever worker is free.

The workflow is a loop around `Executor.attempt` and has no steps of its own: what a job has been through stands in its
events, so a workflow that runs a second time, on this worker or another, simply goes on with the next attempt.

Workers beat into a table. What a silent one left behind is taken over by any other; what nobody began or finished in
time is ended by the reaper, so that no reservation hangs.
"""

import asyncio
import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial
from typing import ClassVar, Protocol

from dbos import DBOS, DBOSClient, DBOSConfig

from services.errors import PreconditionFailed, Unavailable
from services.orchestrator.domain.event import Failed, Reconciling
from services.orchestrator.domain.job import Job, State, expire
from services.orchestrator.execute import Executor
from services.orchestrator.ports.backend import AttemptFailed, Backend, Limits
from services.orchestrator.ports.store import Store
from services.orchestrator.ports.system import Clock
from services.orchestrator.reconcile import Reconciler

MAKE_VIDEO = "make_video"
APPLICATION_VERSION = "1"
"""Set by hand: DBOS runs a workflow only under the version it was enqueued with."""
APPLICATION_NAME = "i2v-orchestrator"
POLL_S = 0.05
UNLIMITED = 10_000
"""Jobs of one tenant at a time. A limit, however high, is what makes a queue take its tenants in turn."""
RECOVERIES = 1_000_000
"""Never give a workflow up: a job ends by its own deadline."""
AGAIN_S, AGAIN_BROKEN_S = 1.0, 15.0
BEAT_S = 5.0
OVERDUE_GRACE_S = 30.0

log = logging.getLogger(__name__)


def migrate_queue(url: str) -> None:
    """Brings DBOS's own tables, in the schema `dbos` of the same database, to the version of the library."""
    DBOS.migrate(url)


def _prepare(url: str, worker: str, slots: Mapping[str, Limits]) -> None:
    """Makes the queues known, one a backend, and puts what this worker left behind back onto them.

    By a client, before the launch. The launch looks for queues at once, and then only every second; and what it finds
    left behind it puts onto a queue of its own, which knows neither slots nor backends.
    """
    client = DBOSClient(system_database_url=url, application_name=APPLICATION_NAME)
    try:
        for backend, limits in slots.items():
            client.register_queue(
                backend,
                worker_concurrency=limits.of_a_worker,
                global_concurrency=limits.together,
                limiter={"limit": limits.a_minute, "period": 60.0} if limits.a_minute else None,
                partition_concurrency=min(UNLIMITED, limits.together or UNLIMITED),
                polling_interval_sec=POLL_S,
            )
        for left in client.list_workflows(status="PENDING", executor_id=worker, load_input=False):
            client.resume_workflow(left.workflow_id, queue_name=left.queue_name)
    finally:
        client.destroy()


async def _trouble(backend: Backend) -> tuple[str, str]:
    """Returns why a backend could not take a job now, as a word and a sentence; empty when it could."""
    try:
        await backend.check()
    except Unavailable as trouble:
        return trouble.reason, trouble.message
    except AttemptFailed as failure:
        return failure.error.reason, failure.error.message
    return "", ""


class Roll(Protocol):
    """The list of workers that live."""

    async def claim(self, worker: str) -> None:
        """Takes a name for as long as this process lives. Raises when another living worker has it."""

    async def release(self) -> None:
        """Gives the name back."""

    async def beat(self, worker: str) -> None:
        """Notes that a worker lives."""

    async def silent(self, since: datetime) -> list[str]:
        """Returns the workers that have not been heard of since."""

    async def bury(self, worker: str, since: datetime) -> bool:
        """Takes a silent worker off the list; True for the one caller that did it."""


class Worker:
    """The receiving end: runs jobs on this process's event loop until it is stopped. One a process."""

    _alive: ClassVar[bool] = False
    """From the start of a worker until all that DBOS runs for it has ended."""

    def __init__(
        self,
        url: str,
        name: str,
        *,
        executor: Executor,
        reconciler: Reconciler,
        store: Store,
        roll: Roll,
        clock: Clock,
        slots: Mapping[str, Limits],
        silent_s: float,
        refund_window_s: float,
        find_s: float,
    ) -> None:
        self._url = url
        self._name = name
        self._executor = executor
        self._reconciler = reconciler
        self._store = store
        self._roll = roll
        self._clock = clock
        self._slots = slots
        self._silent_s = silent_s
        self._refund_window_s = refund_window_s
        self._find = timedelta(seconds=find_s)
        self._looks: dict[str, datetime] = {}
        """When each job that is being reconciled is looked at again."""
        self._running: set[asyncio.Task[object]] = set()
        self._reaper: asyncio.Task[None] | None = None
        self._troubles: dict[str, str] = {}
        """Why each backend is not ready, as it was said last."""

    async def start(self) -> None:
        """Takes up the work: first what this worker left behind when it was killed, then the queues.

        Raises:
            RuntimeError: another worker of this process lives, or is still stopping.
        """
        if Worker._alive:
            # DBOS would give this one the other's object, with the other's database, and then take it away from both.
            raise RuntimeError("a process has room for one worker, and the one before has not stopped yet")
        Worker._alive = True
        try:
            await self._start()
        except BaseException:
            await self._end()
            raise

    async def _start(self) -> None:
        config: DBOSConfig = {
            "name": APPLICATION_NAME,
            "system_database_url": self._url,
            "application_version": APPLICATION_VERSION,
            "executor_id": self._name,
            "enable_otlp": False,
            "log_level": "WARNING",
            "sys_db_pool_size": 4,
        }
        DBOS(config=config)

        async def make_video(job_id: str) -> None:
            await self._make_video(job_id)

        DBOS.workflow(name=MAKE_VIDEO, max_recovery_attempts=RECOVERIES)(make_video)
        await self._roll.claim(self._name)
        await self._roll.beat(self._name)
        await asyncio.to_thread(_prepare, self._url, self._name, self._slots)
        # Only what this worker can make: another's queue may be in the same database.
        DBOS.listen_queues(list(self._slots))
        DBOS.launch()
        self._reaper = asyncio.create_task(self._reap(), name="reaper")

    async def stop(self) -> None:
        """Leaves the work at once; what was running goes on with the next attempt, here or elsewhere."""
        tasks = [*self._running, *([self._reaper] if self._reaper else [])]
        for task in tasks:
            task.cancel()
        try:
            await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            await self._end()

    async def _end(self) -> None:
        """Ends DBOS and gives the name back. A cancel waits until DBOS has ended, which it does within seconds."""
        loop = asyncio.get_running_loop()
        ending = loop.run_in_executor(None, partial(DBOS.destroy, destroy_registry=True))
        cancelled = False
        while not ending.done():
            try:
                await asyncio.wait({ending})
            except asyncio.CancelledError:
                cancelled = True
        # DBOS made its own threads the loop's and has just ended them; what still stops after us needs some.
        loop.set_default_executor(ThreadPoolExecutor())
        Worker._alive = False
        await self._roll.release()
        ending.result()
        if cancelled:
            raise asyncio.CancelledError

    async def _make_video(self, job_id: str) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._running.add(task)
        try:
            wait_s: float | None = 0.0
            while wait_s is not None:
                await asyncio.sleep(wait_s)
                try:
                    wait_s = await self._executor.attempt(job_id, DBOS.workflow_id or "")
                except Unavailable:
                    log.warning("the database is away; the attempt begins anew", exc_info=True)
                    wait_s = AGAIN_S
                except Exception:
                    # Ending here would leave the job with nobody. Its deadline, at the latest, ends this.
                    log.exception("the attempt broke outside of its boundary; it begins anew")
                    wait_s = AGAIN_BROKEN_S
        finally:
            self._running.discard(task)

    async def _reap(self) -> None:
        while True:
            for duty in (self._beat, self._take_over, self._end_overdue, self._reconcile, self._look):
                try:
                    await duty()
                except Unavailable:
                    log.warning("the database is away; the reaper waits")
                except Exception:
                    log.exception("the reaper stumbled")  # and goes on: its other duties are somebody's only hope
            await asyncio.sleep(min(BEAT_S, self._silent_s / 3))

    async def _beat(self) -> None:
        await self._roll.beat(self._name)

    async def _look(self) -> None:
        for name, backend in self._executor.backends.items():
            self._executor.meter.queued(name, await self._store.queued(name))
            reason, why = await _trouble(backend)
            self._executor.meter.backend_ready(name, not reason)
            if why != self._troubles.get(name, ""):  # said once, not at every look
                self._troubles[name] = why
                if reason:
                    log.warning("a backend is not ready", extra={"backend": name, "reason": reason, "why": why})
                else:
                    log.info("a backend is ready", extra={"backend": name})

    async def _reconcile(self) -> None:
        """Looks at every job whose paid call has an unknown outcome, each no more often than vendors shall be asked.

        Every worker does: asking twice costs nothing, and one that cannot reach a vendor must not be the only one.
        """
        unknown, now = await self._store.reconciling(), self._clock.now()
        self._executor.meter.reconciling(len(unknown))
        looks = {job.id: self._looks.get(job.id, now) for job in unknown}
        for job in unknown:
            if looks[job.id] <= now:
                looks[job.id] = now + self._find
                try:
                    after = await self._reconciler.look(job, self._executor.backends, self._refund_window_s)
                except PreconditionFailed:
                    continue  # somebody else was quicker
                except Unavailable:
                    raise
                except Exception:
                    log.exception("a job cannot be reconciled", extra={"job_id": job.id})
                    continue
                if after.state is not State.RECONCILING:
                    log.warning("a job was reconciled", extra={"job_id": job.id, "state": after.state.value})
        self._looks = looks

    async def _take_over(self) -> None:
        since = self._clock.now() - timedelta(seconds=self._silent_s)
        for silent in await self._roll.silent(since):
            left = await DBOS.list_workflows_async(status="PENDING", executor_id=silent, load_input=False)
            for workflow in left:
                # Onto its own queue again, as in _prepare.
                await DBOS.resume_workflow_async(workflow.workflow_id, queue_name=workflow.queue_name)
            if await self._roll.bury(silent, since):
                log.warning("took over from a silent worker", extra={"worker": silent, "jobs": len(left)})

    async def _end_overdue(self) -> None:
        now = self._clock.now()
        for job_id in await self._store.overdue(now, grace_s=OVERDUE_GRACE_S):
            ending: list[Failed | Reconciling] = []

            def decide(job: Job, ending: list[Failed | Reconciling] = ending) -> Failed | Reconciling | None:
                ending[:] = [end] if (end := expire(now, job, grace_s=OVERDUE_GRACE_S)) else []
                return ending[0] if ending else None

            try:
                ended = await self._store.record(job_id, decide)
            except Exception:
                log.exception("an overdue job cannot be ended", extra={"job_id": job_id})
                continue
            if ending and ended.state.ended:
                self._executor.meter.ended(ended)
                await self._executor.forget(ended)
                log.warning("an overdue job was ended", extra={"job_id": job_id})
