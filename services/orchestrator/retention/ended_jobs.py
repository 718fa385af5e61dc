"""Removes old jobs, each together with the jobs that resume it. Their bookings stay in the ledger."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import datetime

from services.orchestrator.domain.retention import Due, Kind
from services.orchestrator.ports.retention import OldJob, OldJobs, OnHold
from services.orchestrator.retention.job_history import JobHistory

JOBS_AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class EndedJobs:
    """The removal of jobs."""

    jobs: OldJobs
    history: JobHistory

    @property
    def kind(self) -> Kind:
        """Jobs."""
        return Kind.JOBS

    async def due(self, before: datetime) -> Due:
        """Returns which jobs ended before this time."""
        return await self.jobs.jobs_due(before)

    async def batches(self, before: datetime) -> AsyncGenerator[int, None]:
        """Removes some jobs, and yields their number."""
        after: OldJob | None = None
        while page := await self.jobs.due_jobs(before, after=after, limit=JOBS_AT_ONCE):
            removed = 0
            for job in page:
                try:
                    removed += await self._remove(job, before)
                except OnHold:
                    continue
            yield removed
            after = page[-1]

    async def _remove(self, job: OldJob, before: datetime) -> int:
        for each in (job, *await self.jobs.resumes_of(job)):
            if not await self.history.remove(each):
                return 0
        return await self.jobs.remove(job, before)
