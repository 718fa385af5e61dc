"""One limit of a plan: how much of a measure a subject may use in a period."""

from dataclasses import dataclass, field
from enum import StrEnum

from services.orchestrator.domain.limits.calendar import Per
from services.orchestrator.domain.limits.measure import Measure

AMOUNT_MOST = 2**53
"""The largest amount of a limit: every JSON reader has it exactly, and sums of many stay within 64 bits."""


class Subject(StrEnum):
    """Whose use is counted together."""

    TENANT = "tenant"
    USER = "user"
    """Each user of the tenant by itself."""
    KEY = "key"
    """Each API key of the tenant by itself."""


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit."""

    measure: Measure
    subject: Subject
    per: Per
    most: int | None
    """In the measure's unit. 0: none. None: unlimited, but counted."""
    is_override: bool = field(default=False, compare=False)
    """Whether operators have set it in place of the plan's. It says the same, so it is equal to that."""

    @property
    def key(self) -> str:
        """Its name within a plan, such as `user jobs:model=nano day`. A plan has each once."""
        return f"{self.subject} {self.measure.key} {self.per}"
