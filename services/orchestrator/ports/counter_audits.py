"""Audits of the counters."""

from collections.abc import Sequence
from typing import Protocol

from services.orchestrator.domain.counter_difference import Difference, LastAudit


class CounterAudits(Protocol):
    """Compares counters with holds, jobs and the ledger. Raises services.errors.Unavailable if the database is away."""

    async def changes(self, *, every_s: float) -> LastAudit:
        """Audits what has changed since the last audit, unless one is younger than `every_s`.

        One process audits at a time. Returns the newest audit, of this process or another.
        """

    async def last(self) -> LastAudit:
        """Returns the newest audit of what had changed."""

    async def full(self, *, limit: int) -> Sequence[Difference]:
        """Computes every counter again, and returns the differences, at most so many."""
