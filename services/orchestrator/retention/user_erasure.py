"""Deletes users: stops their jobs, deletes all that belongs to them in batches, and waits for the collector of bytes.

What is left is looked for again in each round, so a process may be killed at any point and another one continues. There
is no list of work but the records of the deletions.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from services.errors import Unavailable
from services.orchestrator.domain import next_event
from services.orchestrator.domain.open_upload import OpenUpload
from services.orchestrator.domain.user_deletion import Obstacle, State, UserDeletion
from services.orchestrator.ports.clock_and_ids import Clock
from services.orchestrator.ports.counter_audits import CounterAudits
from services.orchestrator.ports.jobs import Jobs
from services.orchestrator.ports.meter import Meter
from services.orchestrator.ports.retention import OldJob, OldJobs, OnHold, OnlyOne
from services.orchestrator.ports.uploads import Uploads
from services.orchestrator.ports.user_deletions import UserData, UserDeletions

EVERY_S = 2.0
"""Seconds between two rounds."""
PAUSE_S = 0.05
"""Seconds between two batches, for the other work of the database."""
OPEN_AT_ONCE = 100
"""Deletions of one page."""
BATCH, JOBS_AT_ONCE, EVENTS_AT_ONCE = 500, 50, 5_000
"""Rows of one transaction; jobs of one page; events of one transaction."""
CANCEL_MOST = 500
"""Jobs that are asked to stop in one round."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class UserErasure:
    """The work on all deletions that are not done."""

    deletions: UserDeletions
    data: UserData
    jobs: Jobs
    old_jobs: OldJobs
    uploads: Uploads
    audits: CounterAudits
    discard: Callable[[OpenUpload], Awaitable[None]]
    """Removes an upload and what has arrived of it."""
    remove_runs: Callable[[Sequence[str]], Awaitable[None]]
    """Removes entries of the job queue by their ids, whether they exist or not."""
    remove_checkpoints: Callable[[str], Awaitable[None]]
    """Removes the checkpoints of a job by its id."""
    only_one: OnlyOne
    clock: Clock
    meter: Meter
    report: Callable[[int], None] = lambda _: None
    """Gets the number of deletions that are not done, after each round."""
    every_s: float = EVERY_S
    pause_s: float = PAUSE_S

    async def repeat(self) -> None:
        """Runs rounds until cancelled. While something cannot be reached, it waits for the next round."""
        while True:
            try:
                await self.round()
            except Unavailable as error:
                log.warning("users cannot be deleted now", extra={"reason": error.reason})
            await asyncio.sleep(self.every_s)

    async def round(self) -> None:
        """Continues every deletion, unless another process does. Raises Unavailable."""
        if not await self.deletions.open(after=None, limit=1):  # as a rule: without a connection for the lock
            self.report(0)
            return
        async with self.only_one() as alone:
            if not alone:
                return
            left, last = 0, None
            while found := await self.deletions.open(after=last, limit=OPEN_AT_ONCE):
                left += [await self._try(deletion) for deletion in found].count(False)
                last = found[-1]
            self.report(left)

    async def _try(self, deletion: UserDeletion) -> bool:
        """Continues a deletion. One that fails does not hold up the others. Returns whether it is done."""
        named = {"tenant": deletion.tenant, "deletion": deletion.id}
        try:
            return await self._advance(deletion)
        except Unavailable as error:
            log.warning("a user cannot be deleted now", extra=named | {"reason": error.reason})
        except Exception:  # the next round looks for everything again
            log.exception("the deletion of a user failed", extra=named)
        return False

    async def _advance(self, deletion: UserDeletion) -> bool:
        if deletion.state is State.DELETING:
            try:
                obstacle = await self._delete(deletion)
            except OnHold:
                obstacle = Obstacle.LEGAL_HOLD
            await self.deletions.waits(deletion, obstacle)
            if obstacle:
                return False
            log.info("erased a user", extra={"tenant": deletion.tenant, "deletion": deletion.id})
        return await self.data.end(deletion, self.clock.now())

    async def _delete(self, deletion: UserDeletion) -> Obstacle:
        """Deletes everything that can be deleted now; returns what the rest waits for. Raises OnHold, Unavailable."""
        await self.data.demand_no_hold(deletion)
        unfinished = await self._cancel_jobs(deletion)
        await self._delete_uploads(deletion)
        await self._repeat(lambda: self.data.delete_collections(deletion, limit=BATCH))
        await self._repeat(lambda: self.data.delete_assets(deletion, self.clock.now(), limit=BATCH))
        await self.audits.changes(every_s=0)
        running = await self._delete_jobs(deletion)
        if unfinished or running:
            return Obstacle.UNFINISHED_JOBS
        await self._repeat(lambda: self.data.delete_deliveries(deletion, limit=BATCH))
        await self._repeat(lambda: self.data.rename_bookings(deletion, limit=BATCH))
        # Something is left: a job that the audit has not passed, or that ended after the assets were deleted.
        return Obstacle.NOTHING if await self.data.erase(deletion, self.clock.now()) else Obstacle.COUNTER_AUDIT

    async def _repeat(self, batch: Callable[[], Awaitable[int]]) -> None:
        while True:
            if not await batch():
                return
            await asyncio.sleep(self.pause_s)

    async def _cancel_jobs(self, deletion: UserDeletion) -> bool:
        """Asks jobs to stop: waiting ones end at once. Returns whether some have not ended."""
        for job_id in await self.data.unfinished_jobs(deletion, limit=CANCEL_MOST):
            recorded = await self.jobs.record(job_id, next_event.cancel)
            if recorded.event is not None and recorded.after.state.ended:
                self.meter.ended(recorded.after)
        return bool(await self.data.unfinished_jobs(deletion, limit=1))

    async def _delete_uploads(self, deletion: UserDeletion) -> None:
        while found := await self.uploads.of_user(deletion.tenant, deletion.user, BATCH):
            for upload in found:
                await self.discard(upload)
            await self.data.uploads_deleted(deletion, len(found))

    async def _delete_jobs(self, deletion: UserDeletion) -> bool:
        """Deletes jobs that have ended. Returns whether a worker still works for one of them."""
        after, running = "", False
        while page := await self.data.ended_jobs(deletion, after=after, limit=JOBS_AT_ONCE):
            families = [[job, *await self.data.resumes(job)] for job in page]
            runs = {each.id: await self.data.queued_runs(each) for family in families for each in family}
            free = [family for family in families if not any(run.taken for each in family for run in runs[each.id])]
            await self.remove_runs([run.id for family in free for each in family for run in runs[each.id]])
            deleted = [await self._delete_jobs_of(deletion, family) for family in free]
            running |= len(free) < len(families) or not all(deleted)
            after = page[-1].id
            await asyncio.sleep(self.pause_s)
        return running

    async def _delete_jobs_of(self, deletion: UserDeletion, family: Sequence[OldJob]) -> bool:
        """Deletes a job and those that resume it. Returns False if a resume has begun meanwhile."""
        for each in family:
            await self.remove_checkpoints(each.id)
            while await self.old_jobs.remove_events(each, EVENTS_AT_ONCE) == EVENTS_AT_ONCE:
                pass
        return bool(await self.data.delete_job(deletion, family[0]))
