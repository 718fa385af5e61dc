"""The reaper: handles orphaned and overdue jobs, in every worker.

It also sends the worker's heartbeat, reconciles jobs, and reports which backends are ready. Each of these has a task of
its own: however slow a vendor or a backend is, the heartbeat of a living worker is sent.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial

from services.errors import Unavailable
from services.orchestrator.attempt.runner import AttemptRunner
from services.orchestrator.domain.next_event import expire
from services.orchestrator.ports.clock_and_ids import Clock
from services.orchestrator.ports.jobs import Jobs
from services.orchestrator.ports.meter import Meter
from services.orchestrator.ports.workers import Workers
from services.orchestrator.worker.backend_readiness import BackendReadiness
from services.orchestrator.worker.reconcile_schedule import ReconcileSchedule

HEARTBEAT_S = 5.0
"""Seconds between two rounds of a duty, at most."""
ORPHANS_S = 2.0
"""The same for orphaned and overdue jobs: so much later than `silent_s` others begin the jobs of a dead worker."""
OVERDUE_GRACE_S = 30.0
"""Seconds after its expire_time that a job which has begun may still end by itself."""

log = logging.getLogger(__name__)


class Reaper:
    """The periodic duties of one worker."""

    def __init__(
        self,
        *,
        workers: Workers,
        jobs: Jobs,
        runner: AttemptRunner,
        reconciling: ReconcileSchedule,
        readiness: BackendReadiness,
        clock: Clock,
        meter: Meter,
        silent_s: float,
    ) -> None:
        """A worker without a heartbeat for `silent_s` counts as dead."""
        self._workers = workers
        self._jobs = jobs
        self._runner = runner
        self._reconciling = reconciling
        self._readiness = readiness
        self._clock = clock
        self._meter = meter
        self._silent_s = silent_s

    async def reap(self) -> None:
        """Runs each duty periodically until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._repeat(HEARTBEAT_S, self._workers.beat), name="heartbeat")
            orphans = self._repeat(ORPHANS_S, self._take_over, self._end_overdue)
            tasks.create_task(orphans, name="orphaned-and-overdue")
            tasks.create_task(self._repeat(HEARTBEAT_S, self._reconciling.run), name="reconcile")
            tasks.create_task(self._repeat(HEARTBEAT_S, self._readiness.check), name="readiness")

    async def _repeat(self, every_s: float, *duties: Callable[[], Awaitable[None]]) -> None:
        while True:
            for duty in duties:
                try:
                    await duty()
                except Unavailable:
                    log.warning("the database is away; the reaper waits")
                except Exception:  # the other duties must continue
                    log.exception("a duty of the reaper failed")
            await asyncio.sleep(min(every_s, self._silent_s / 3))

    async def _take_over(self) -> None:
        """Requeues orphaned jobs: those of workers without a heartbeat."""
        requeued = await self._workers.take_over(self._clock.now() - timedelta(seconds=self._silent_s))
        for executor, jobs in requeued.items():
            log.warning("took over from a silent worker", extra={"worker": executor, "jobs": jobs})

    async def _end_overdue(self) -> None:
        """Ends jobs that no worker began or finished in time."""
        now = self._clock.now()
        for job_id in await self._jobs.overdue(now, grace_s=OVERDUE_GRACE_S):
            try:
                recorded = await self._jobs.record(job_id, partial(expire, now, grace_s=OVERDUE_GRACE_S))
            except Exception:
                log.exception("an overdue job cannot be ended", extra={"job_id": job_id})
                continue
            if recorded.event is not None and recorded.after.state.ended:
                self._meter.ended(recorded.after)
                await self._runner.discard_checkpoints(recorded.after)
                log.warning("an overdue job was ended", extra={"job_id": job_id})
