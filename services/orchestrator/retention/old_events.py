"""Removes the events of old jobs, and the fragments of those whose video exists. The jobs stay."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import datetime

from services.orchestrator.domain.retention import Due, Kind
from services.orchestrator.ports.retention import OldJob, OldJobs, OnHold
from services.orchestrator.retention.job_history import JobHistory

JOBS_AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class OldEvents:
    """The removal of events and fragments."""

    jobs: OldJobs
    history: JobHistory

    @property
    def kind(self) -> Kind:
        """Events."""
        return Kind.EVENTS

    async def due(self, before: datetime) -> Due:
        """Returns which jobs that ended before this time still have events."""
        return await self.jobs.events_due(before)

    async def batches(self, before: datetime) -> AsyncGenerator[int, None]:
        """Removes the events of some jobs, and yields the number of jobs."""
        after: OldJob | None = None
        while page := await self.jobs.with_events(before, after=after, limit=JOBS_AT_ONCE):
            removed = 0
            for job in page:
                try:
                    removed += await self.history.remove(job)
                except OnHold:
                    continue
            yield removed
            after = page[-1]
