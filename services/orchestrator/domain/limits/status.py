"""The state of one limit for one caller: how much of it is used, held and left."""

from dataclasses import dataclass

from services.orchestrator.domain.limits.calendar import Period
from services.orchestrator.domain.limits.limit import Limit
from services.orchestrator.domain.limits.warning import UsageWarning


@dataclass(frozen=True, slots=True)
class LimitStatus:
    """A limit, and its counter in the current period. All amounts are in the measure's unit."""

    limit: Limit
    period: Period
    used: int = 0
    """By ended jobs."""
    held: int = 0
    """Set aside for unfinished jobs."""
    credit: int = 0
    """What operators have added to the limit of this period; negative: taken from it."""
    warnings: tuple[UsageWarning, ...] = ()
    """Of this period, the lowest threshold first; of a limit at a time, those of the last hour."""

    @property
    def most(self) -> int | None:
        """The limit with the credit; None: unlimited."""
        return None if self.limit.most is None else max(0, self.limit.most + self.credit)

    @property
    def left(self) -> int | None:
        """What may still be asked for; None: unlimited. Negative after a change to a smaller plan."""
        return None if self.most is None else self.most - self.used - self.held

    @property
    def warned_percent(self) -> int:
        """The highest threshold of its warnings; 0: none."""
        return max((each.threshold for each in self.warnings), default=0)

    def allows(self, asked: int) -> bool:
        """Whether a job that asks for so much may be admitted."""
        return self.left is None or asked == 0 or asked <= self.left
