"""When each RECONCILING job is reconciled: in rounds, and as often as its vendor may be asked."""

import asyncio
import logging
from collections.abc import Mapping
from datetime import datetime, timedelta

from services.errors import PreconditionFailed, Unavailable
from services.orchestrator.domain.job import Job, State
from services.orchestrator.ports.backend import Backend
from services.orchestrator.ports.clock_and_ids import Clock
from services.orchestrator.ports.meter import Meter
from services.orchestrator.ports.paid_calls import PaidCalls
from services.orchestrator.worker.lost_submission_reconciler import Reconciler

JOB_S = 60.0
"""Seconds that reconciling one job may take: a vendor's search, and what is recorded afterwards."""
PAGE, AT_ONCE = 100, 10
"""Jobs that are read for one round, and of these reconciled at a time."""

log = logging.getLogger(__name__)


class ReconcileSchedule:
    """The schedule of one worker.

    Every worker has one: asking a vendor twice costs nothing, and one worker that cannot reach a vendor must not be
    the only one.
    """

    def __init__(
        self,
        *,
        reconciler: Reconciler,
        paid_calls: PaidCalls,
        backends: Mapping[str, Backend],
        clock: Clock,
        meter: Meter,
        refund_window_s: float,
        find_s: float,
        page: int = PAGE,
    ) -> None:
        """`find_s` is the time between two searches for the task of one job, `page` the limit of a round's jobs."""
        self._reconciler = reconciler
        self._paid_calls = paid_calls
        self._backends = backends
        self._clock = clock
        self._meter = meter
        self._refund_window_s = refund_window_s
        self._page = page
        self._pause = timedelta(seconds=find_s)
        self._next_times: dict[str, datetime] = {}
        """When each job may be reconciled again, of those that may not yet."""
        self._last_id = ""
        """The last job of the round before, where the next round continues."""

    async def run(self) -> None:
        """Makes one round over the next page of jobs, so that each has its turn, however many there are."""
        self._meter.reconciling(await self._paid_calls.count_reconciling())
        now = self._clock.now()
        self._next_times = {job_id: time for job_id, time in self._next_times.items() if time > now}
        page = await self._paid_calls.reconciling(after=self._last_id, limit=self._page)
        self._last_id = page[-1].id if len(page) == self._page else ""
        places = asyncio.Semaphore(AT_ONCE)
        await asyncio.gather(*(self._reconcile(job, places) for job in page if job.id not in self._next_times))

    async def _reconcile(self, job: Job, places: asyncio.Semaphore) -> None:
        async with places:
            self._next_times[job.id] = self._clock.now() + self._pause
            try:
                async with asyncio.timeout(JOB_S):
                    after = await self._reconciler.reconcile(job, self._backends, self._refund_window_s)
            except PreconditionFailed:
                return  # another worker or an operator was quicker
            except (Unavailable, TimeoutError):
                log.warning("a job cannot be reconciled now", extra={"job_id": job.id})
                return
            except Exception:
                log.exception("a job cannot be reconciled", extra={"job_id": job.id})
                return
        if after.state is not State.RECONCILING:
            log.info("a job was reconciled", extra={"job_id": job.id, "state": after.state.value})
