"""A limit with what new jobs ask of it: before they are admitted."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from services.orchestrator.domain.limits.measure import Demand
from services.orchestrator.domain.limits.status import LimitStatus


@dataclass(frozen=True, slots=True)
class AskedLimit:
    """The state of a limit, and what is asked of it. Amounts are in the measure's unit."""

    status: LimitStatus
    asked: int | None = None
    """Of all jobs together; None: none of them counts here."""

    @property
    def left(self) -> int | None:
        """What would be left afterwards; None: unlimited. Negative if it does not fit."""
        return None if self.status.left is None else self.status.left - (self.asked or 0)

    @property
    def exceeded(self) -> bool:
        """Whether the limit refuses what is asked."""
        return self.asked is not None and not self.status.allows(self.asked)

    def asking(self, demand: Demand) -> "AskedLimit":
        """Returns the limit with one more job."""
        more = self.status.limit.measure.asked(demand)
        return self if more is None else replace(self, asked=(self.asked or 0) + more)


def ask(statuses: Iterable[LimitStatus], demands: Iterable[Demand]) -> list[AskedLimit]:
    """Returns limits with what jobs ask of them together."""
    asked = [AskedLimit(status) for status in statuses]
    for demand in demands:
        asked = [limit.asking(demand) for limit in asked]
    return asked


def admissible(limits: Iterable[AskedLimit]) -> bool:
    """Whether every limit allows what is asked of it."""
    return not any(limit.exceeded for limit in limits)
