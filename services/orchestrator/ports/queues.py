"""The queues of the backends, as far as callers and operators see them; a worker takes jobs off them through DBOS."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from services.orchestrator.ports.signal import Signal


class Queues(Protocol):
    """One queue per backend. Every method raises services.errors.Unavailable if the database cannot be reached."""

    async def length(self, backend: str) -> int:
        """Returns how many jobs wait for a backend."""

    async def places(self, job_ids: Sequence[str]) -> Mapping[str, int]:
        """Returns the place of each job in the queue of its backend, from 1; jobs that do not wait are left out."""

    def entries(self, backend: str) -> AbstractAsyncContextManager[Signal]:
        """Wakes when a job is put onto the queue of a backend, by any process."""
