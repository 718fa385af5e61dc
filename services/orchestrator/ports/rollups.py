"""Daily rollups of the ledger."""

from collections.abc import Mapping
from datetime import date
from typing import Protocol

from services.orchestrator.domain.rollup import RollupFilter, RollupKey, RollupPage, RollupSums


class Rollups(Protocol):
    """The table of rollups. Every method raises services.errors.Unavailable if the database cannot be reached."""

    async def refresh(self, *, every_s: float = 0.0) -> None:
        """Computes the days again in which bookings have come or changed, unless a round is younger than `every_s`.

        One process does so at a time; the others wait.
        """

    async def page(self, which: RollupFilter, *, after: RollupKey | None, limit: int) -> RollupPage:
        """Returns rollups after a key, in the order of their keys, and the sums of all that are asked for."""

    async def of_models(self, day: date) -> Mapping[str, RollupSums]:
        """Returns the sums of a day by model."""

    async def of_tenants(self, day: date) -> Mapping[str, RollupSums]:
        """Returns the sums of a day by tenant."""
