"""The plan: what a tenant, each of its users and each of its API keys may do."""

from dataclasses import dataclass
from functools import cached_property

from services.orchestrator.domain.keep_rules import KEEP_ALL, KeepRules
from services.orchestrator.domain.limits.calendar import Per
from services.orchestrator.domain.limits.limit import Limit, Subject
from services.orchestrator.domain.limits.measure import Spend, StoredBytes, UnfinishedJobs

ALWAYS_COUNTED = tuple(
    Limit(measure, subject, per, None)
    for subject in (Subject.TENANT, Subject.USER)
    for measure, per in ((Spend(), Per.MONTH), (UnfinishedJobs(), Per.AT_A_TIME), (StoredBytes(), Per.AT_A_TIME))
)
"""Counted in every plan, also where they are unlimited: usage reports them."""


@dataclass(frozen=True)  # no slots: `counted` is kept
class Plan:
    """A list of limits and allow-lists. What is absent is unlimited; 0 is none."""

    name: str
    limits: tuple[Limit, ...] = ()
    display_name: str = ""
    models: frozenset[str] | None = None
    """Models that may be used; None: all. The same holds for the next two."""
    operations: frozenset[str] | None = None
    resolutions: frozenset[str] | None = None
    """Of remote models; sizes of local ones, such as `224x128`, are listed here too."""
    price_most_micros: int | None = None
    """The highest price of one job; None: unlimited."""
    priority: int = 0
    """Jobs of plans with a higher priority begin first, but at most four while one of a lower priority waits."""
    weight: int = 1
    """Share of a backend's slots compared with other tenants that wait, 1 to 100."""
    keep: KeepRules = KEEP_ALL
    """How long it keeps assets."""

    @cached_property
    def counted(self) -> tuple[Limit, ...]:
        """Its limits in their order, and what is always counted."""
        named = {limit.key for limit in self.limits}
        return (*self.limits, *(limit for limit in ALWAYS_COUNTED if limit.key not in named))

    @property
    def month(self) -> Per:
        """The month at whose end another plan may begin: that of its limits, of the calendar if it has both or none."""
        used = {limit.per for limit in self.limits}
        return Per.ANNIVERSARY if Per.ANNIVERSARY in used and Per.MONTH not in used else Per.MONTH
