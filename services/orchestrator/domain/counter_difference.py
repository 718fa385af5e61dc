"""What an audit of the counters finds."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class DifferenceKind(StrEnum):
    """The two that differ."""

    HOLDS = "holds"
    """A counter, and the holds of its jobs."""
    LEDGER = "ledger"
    """The counters of spending in calendar months, and the ledger."""
    JOB = "job"
    """A job, and its holds and ledger entries."""
    ASSETS = "assets"
    """A counter of stored bytes, and the assets."""
    ROLLUP = "rollup"
    """The daily rollups of a tenant's model, and the ledger."""


@dataclass(frozen=True, slots=True)
class Amounts:
    """What a counter has, in the unit of its measure."""

    held: int = 0
    used: int = 0
    credit: int = 0


@dataclass(frozen=True, slots=True)
class Difference:
    """A counter, or the booking of a job, that is not the sum of what it counts."""

    kind: DifferenceKind
    tenant: str
    found: Amounts
    expected: Amounts
    subject: str = ""
    measure: str = "spend"
    period: str = ""
    """Empty: at a time, or all months together."""
    job: str = ""
    """Id of the job; empty for counters."""


@dataclass(frozen=True, slots=True)
class LastAudit:
    """The last audit of what had changed, by any process."""

    time: datetime | None
    """None: there was none yet."""
    differences: int
