"""Folds old months of a ledger into balances. Only an operator's command does so."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime

from services.errors import InvalidInput, PreconditionFailed, Violation
from services.orchestrator.domain.limits.calendar import BillingCalendar, Per, Period
from services.orchestrator.ports.clock_and_ids import Clock
from services.orchestrator.ports.retention import FoldedMonth, OldBookings
from services.orchestrator.ports.tenants import Tenants
from services.reasons import RetentionReason


@dataclass(frozen=True, slots=True)
class LedgerFolding:
    """Folds the ledgers of tenants."""

    bookings: OldBookings
    tenants: Tenants
    clock: Clock

    async def fold(self, tenant: str, before: str, *, dry_run: bool) -> list[FoldedMonth]:
        """Folds every month before a given one, such as `2025-01`, or only counts what would be folded.

        Months begin in the tenant's time zone. All months are checked before the first is folded.

        Raises:
            InvalidInput: `before` is not a month.
            NotFound: no such tenant.
            PreconditionFailed: a month is not over, or jobs of it are kept, or the tenant is under a legal hold.
        """
        calendar = (await self.tenants.get(tenant)).calendar
        end = self._end(before, calendar)
        checked = [
            await self.bookings.fold(tenant, month, dry_run=True) async for month in self._months(tenant, end, calendar)
        ]
        if dry_run:
            return checked
        return [
            await self.bookings.fold(tenant, month, dry_run=False)
            async for month in self._months(tenant, end, calendar)
        ]

    def _end(self, before: str, calendar: BillingCalendar) -> datetime:
        if not re.fullmatch(r"20\d\d-(0[1-9]|1[0-2])", before):
            what = f"is {before[:20]!r}; give a month such as 2025-01"
            raise InvalidInput([Violation("before", what, RetentionReason.MONTH_MALFORMED)])
        middle = datetime(int(before[:4]), int(before[5:]), 15, tzinfo=UTC)
        end, now = calendar.period(Per.MONTH, middle).start, calendar.period(Per.MONTH, self.clock.now())
        assert end is not None and now.start is not None
        if end > now.start:
            raise PreconditionFailed(
                f"{before} is after the current month. Give {now.key} or an earlier month.",
                reason=RetentionReason.MONTH_NOT_OVER,
                metadata={"month": before},
            )
        return end

    async def _months(self, tenant: str, end: datetime, calendar: BillingCalendar) -> AsyncIterator[Period]:
        """Yields the months before `end` that have bookings, the oldest first."""
        oldest = await self.bookings.oldest(tenant, None)
        while oldest is not None and oldest < end:
            month = calendar.period(Per.MONTH, oldest)
            yield month
            oldest = await self.bookings.oldest(tenant, month.end)
