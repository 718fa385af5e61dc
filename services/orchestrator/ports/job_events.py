"""The events of jobs: what happened, and a signal when something happens."""

from contextlib import AbstractAsyncContextManager
from typing import Protocol

from services.orchestrator.domain.event import Event, FragmentReady
from services.orchestrator.ports.signal import Signal


class JobEvents(Protocol):
    """The events of all jobs. Every method raises services.errors.Unavailable if the database cannot be reached."""

    async def read(self, job_id: str, *, after: int, limit: int = 200) -> list[Event]:
        """Returns a job's events after a sequence number, in order."""

    async def fragments(self, job_id: str) -> list[FragmentReady]:
        """Returns the events of a job's fragments, of all its attempts, in order."""

    def changes(self, job_id: str) -> AbstractAsyncContextManager[Signal]:
        """Wakes on every event of a job."""

    def stops(self, job_id: str) -> AbstractAsyncContextManager[Signal]:
        """Wakes when a job is asked to stop, or is taken over by another attempt."""
