"""The queues of the backends, as far as callers and operators see them; a worker takes jobs off them through DBOS."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from services.orchestrator.domain.queue_forecast import QueueSnapshot


class Queues(Protocol):
    """One queue per backend. Every method raises services.errors.Unavailable if the database cannot be reached."""

    async def length(self, backend: str) -> int:
        """Returns how many jobs wait for a backend."""

    async def lengths(self) -> Mapping[str, int]:
        """Returns how many jobs wait for each backend that has any."""

    async def backends(self, job_ids: Sequence[str]) -> Mapping[str, str]:
        """Returns the backend of each of these jobs that waits or runs."""

    async def snapshot(self, backend: str) -> QueueSnapshot:
        """Returns the queue of a backend as it is now."""
