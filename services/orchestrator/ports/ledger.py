"""The ledger of every tenant."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from services.orchestrator.domain.ledger import Entry, Kind
from services.orchestrator.domain.limits.calendar import Period
from services.orchestrator.domain.usage import Opening, Owner, Sums, UsageGroup, UsageQuery


@dataclass(frozen=True, slots=True)
class Place:
    """The place of an entry in the list of the newest."""

    time: datetime
    reference: str
    kind: str


class Ledger(Protocol):
    """The bookings. Every method raises services.errors.Unavailable if the database cannot be reached."""

    async def newest(
        self, owner: Owner, *, limit: int, kind: Kind | None = None, job: str = "", before: Place | None = None
    ) -> Sequence[Entry]:
        """Returns the newest entries, those after the place `before` in the list, the newest first."""

    async def sums(
        self, query: UsageQuery, *, after: Sequence[str] | None, limit: int
    ) -> tuple[Sequence[UsageGroup], Sums]:
        """Returns groups whose values come after `after`, in the order of their values, and the sums of all groups."""

    def statement(self, owner: Owner, month: Period) -> AsyncGenerator[Opening | Sequence[Entry], None]:
        """Yields the opening of a statement, then all entries of a month in small parts.

        The entries are in the order of admissions. Everything is of the moment of the opening.
        """
