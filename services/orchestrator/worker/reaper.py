"""The reaper: what every worker does beside its jobs, for those that nobody else cares for.

It beats, so that others know that its worker lives. It takes over what a silent one left behind, ends what nobody began
or finished in time, looks after paid calls whose outcome nobody knows, and tells which backends are ready. The beat has
a task of its own, and so has all that waits for others: whatever is slow, a worker that lives is heard.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial

from services.errors import PreconditionFailed, Unavailable
from services.orchestrator.attempt.runner import AttemptRunner
from services.orchestrator.domain.job import Job, State
from services.orchestrator.domain.job_decisions import expire
from services.orchestrator.ports.backend import AttemptFailed, Backend
from services.orchestrator.ports.clock_and_ids import Clock
from services.orchestrator.ports.jobs import Jobs
from services.orchestrator.ports.paid_calls import PaidCalls
from services.orchestrator.ports.queues import Queues
from services.orchestrator.ports.workers import Workers
from services.orchestrator.worker.reconcile import Reconciler

BEAT_S = 5.0
LOOK_S = 10.0
"""How long a backend may take to say whether it could take a job."""
RECONCILE_S = 60.0
"""How long one look at a job with an unknown outcome may take: a vendor's search, and what is written afterwards."""
RECONCILE_PAGE, RECONCILE_AT_ONCE = 100, 10
"""Jobs with an unknown outcome that are looked at in one round, and of these at a time."""
OVERDUE_GRACE_S = 30.0

log = logging.getLogger(__name__)


class Reaper:
    """The duties of one worker."""

    def __init__(
        self,
        *,
        runner: AttemptRunner,
        reconciler: Reconciler,
        jobs: Jobs,
        queues: Queues,
        paid_calls: PaidCalls,
        workers: Workers,
        clock: Clock,
        silent_s: float,
        refund_window_s: float,
        find_s: float,
    ) -> None:
        self._runner = runner
        self._reconciler = reconciler
        self._jobs = jobs
        self._queues = queues
        self._paid_calls = paid_calls
        self._workers = workers
        self._clock = clock
        self._silent_s = silent_s
        self._refund_window_s = refund_window_s
        self._find = timedelta(seconds=find_s)
        self._looks: dict[str, datetime] = {}
        """When jobs that are being reconciled may be looked at again, of those that may not yet."""
        self._reached = ""
        """The job with an unknown outcome that was looked at last: the next round goes on behind it."""
        self._troubles: dict[str, str] = {}
        """Why each backend is not ready, as it was said last."""

    async def reap(self) -> None:
        """Does every duty now and then, for ever."""
        async with asyncio.TaskGroup() as tasks:
            for duties in ((self._beat,), (self._take_over, self._end_overdue), (self._reconcile,), (self._look,)):
                tasks.create_task(self._keep_on(*duties), name=duties[0].__name__.strip("_"))

    async def _keep_on(self, *duties: Callable[[], Awaitable[None]]) -> None:
        while True:
            for duty in duties:
                try:
                    await duty()
                except Unavailable:
                    log.warning("the database is away; the reaper waits")
                except Exception:
                    log.exception("the reaper stumbled")  # and goes on: its other duties are somebody's only hope
            await asyncio.sleep(min(BEAT_S, self._silent_s / 3))

    async def _beat(self) -> None:
        await self._workers.beat()

    async def _look(self) -> None:
        backends = self._runner.backends
        for name in backends:
            self._runner.meter.queued(name, await self._queues.length(name))
        await asyncio.gather(*(self._look_at(name, backend) for name, backend in backends.items()))

    async def _look_at(self, name: str, backend: Backend) -> None:
        reason, why = await _trouble(backend)
        self._runner.meter.backend_ready(name, not reason)
        if why != self._troubles.get(name, ""):  # said once, not at every look
            self._troubles[name] = why
            if reason:
                log.warning("a backend is not ready", extra={"backend": name, "reason": reason, "why": why})
            else:
                log.info("a backend is ready", extra={"backend": name})

    async def _reconcile(self) -> None:
        """Looks at the jobs whose paid call has an unknown outcome, each no more often than vendors shall be asked.

        Every worker does: asking twice costs nothing, and one that cannot reach a vendor must not be the only one. A
        round looks at some, and the next goes on where it ended: so each has its turn, however many there are.
        """
        self._runner.meter.reconciling(await self._paid_calls.count_reconciling())
        now = self._clock.now()
        self._looks = {job_id: time for job_id, time in self._looks.items() if time > now}
        page = await self._paid_calls.reconciling(after=self._reached, limit=RECONCILE_PAGE)
        self._reached = page[-1].id if len(page) == RECONCILE_PAGE else ""
        places = asyncio.Semaphore(RECONCILE_AT_ONCE)
        await asyncio.gather(*(self._look_for(job, places) for job in page if job.id not in self._looks))

    async def _look_for(self, job: Job, places: asyncio.Semaphore) -> None:
        async with places:
            self._looks[job.id] = self._clock.now() + self._find
            try:
                async with asyncio.timeout(RECONCILE_S):
                    after = await self._reconciler.look(job, self._runner.backends, self._refund_window_s)
            except PreconditionFailed:
                return  # somebody else was quicker
            except (Unavailable, TimeoutError):
                log.warning("a job cannot be reconciled now", extra={"job_id": job.id})
                return
            except Exception:
                log.exception("a job cannot be reconciled", extra={"job_id": job.id})
                return
        if after.state is not State.RECONCILING:
            log.warning("a job was reconciled", extra={"job_id": job.id, "state": after.state.value})

    async def _take_over(self) -> None:
        left = await self._workers.take_over(self._clock.now() - timedelta(seconds=self._silent_s))
        for executor, jobs in left.items():
            log.warning("took over from a silent worker", extra={"worker": executor, "jobs": jobs})

    async def _end_overdue(self) -> None:
        now = self._clock.now()
        for job_id in await self._jobs.overdue(now, grace_s=OVERDUE_GRACE_S):
            try:
                recorded = await self._jobs.record(job_id, partial(expire, now, grace_s=OVERDUE_GRACE_S))
            except Exception:
                log.exception("an overdue job cannot be ended", extra={"job_id": job_id})
                continue
            if recorded.event is not None and recorded.after.state.ended:
                self._runner.meter.ended(recorded.after)
                await self._runner.discard_checkpoints(recorded.after)
                log.warning("an overdue job was ended", extra={"job_id": job_id})


async def _trouble(backend: Backend) -> tuple[str, str]:
    """Returns why a backend could not take a job now, as a word and a sentence; empty when it could."""
    try:
        await _check(backend)
    except Unavailable as trouble:
        return trouble.reason, trouble.message
    except AttemptFailed as failure:
        return failure.error.reason, failure.error.message
    return "", ""


async def _check(backend: Backend) -> None:
    try:
        async with asyncio.timeout(LOOK_S):
            await backend.check()
    except TimeoutError:
        raise Unavailable(f"It said nothing for {LOOK_S:g} seconds.", reason="NO_ANSWER") from None
