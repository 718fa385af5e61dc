"""The removal of a job's history: its fragments and its events.

The events name the fragments, so they go last: after a crash they still say which bytes to remove.
"""

from dataclasses import dataclass

from services.orchestrator.domain.asset import blob_key
from services.orchestrator.ports.blobs import Blobs
from services.orchestrator.ports.retention import OldJob, OldJobs

RECENT_S = 86_400.0
"""Bytes that were written within so many seconds are kept: an attempt or an upload may be about to record the same
ones. That takes at most minutes."""
EVENTS_AT_ONCE = 5_000
"""Events of one job that are removed in one transaction, at most."""


@dataclass(frozen=True, slots=True)
class JobHistory:
    """Removes the history of jobs that have ended."""

    jobs: OldJobs
    blobs: Blobs

    async def remove(self, job: OldJob) -> bool:
        """Removes a job's history. Returns False if it has to wait for a later round. Raises OnHold, Unavailable."""
        for sha256 in await self.jobs.forget_fragments(job):
            if not await self.blobs.delete_idle(blob_key(job.tenant, sha256), idle_s=RECENT_S):
                return False
        while await self.jobs.remove_events(job, EVENTS_AT_ONCE) == EVENTS_AT_ONCE:
            pass
        return True
