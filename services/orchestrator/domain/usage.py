"""Usage: sums of the ledger, and the statement of a month."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from services.orchestrator.domain.ledger import Entry, Kind


class Dimension(StrEnum):
    """What the ledger is summed by."""

    DAY = "day"
    OPERATION = "operation"
    MODEL = "model"
    CAPABILITY = "capability"
    USER = "user"
    KEY = "key"


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose entries are meant."""

    tenant: str
    user: str | None
    """None: all users of the tenant."""


@dataclass(frozen=True, slots=True)
class UsageQuery:
    """A question to the ledger: sums of entries that count from `start` until before `end`."""

    owner: Owner
    by: tuple[Dimension, ...]
    start: datetime
    end: datetime
    time_zone: str
    """In which days begin; a name of the IANA database."""


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums of entries."""

    reserved_micros: int = 0
    spent_micros: int = 0
    credit_micros: int = 0
    jobs: int = 0
    admitted_jobs: int = 0
    video_ms: int = 0
    entries: int = 0

    def plus(self, entries: Sequence[Entry]) -> "Sums":
        """Returns the sums with more entries."""
        return Sums(
            self.reserved_micros + sum(each.reserved_micros for each in entries),
            self.spent_micros + sum(each.spent_micros for each in entries),
            self.credit_micros + sum(each.credit_micros for each in entries),
            self.jobs + sum(each.jobs for each in entries),
            self.admitted_jobs + sum(each.kind is Kind.RESERVE for each in entries),
            self.video_ms + sum(each.video_ms for each in entries),
            self.entries + len(entries),
        )


@dataclass(frozen=True, slots=True)
class UsageGroup:
    """One group of a query, with the values of its dimensions."""

    values: tuple[str, ...]
    sums: Sums


@dataclass(frozen=True, slots=True)
class Opening:
    """What a statement begins with: the state of the counter of spending, at the moment of the statement."""

    limit_micros: int | None
    """As of the last admission in the month; None: unlimited."""
    counted: Sums
    """Only reserved, spent and credit."""
    reserved_before_micros: int
    """For unfinished jobs of earlier months."""
