"""Retention: what is removed when it is old enough, and how long each kind is kept."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class Kind(StrEnum):
    """What is removed together, at the same age."""

    EVENTS = "events"
    """Events of ended jobs, and the fragments of those whose video exists."""
    JOBS = "jobs"
    """Ended jobs, with all that belongs to them except the ledger."""
    QUEUE_ENTRIES = "queue-entries"
    """Entries of ended jobs in DBOS's tables."""
    CHECKPOINTS = "checkpoints"
    """Checkpoints that were not removed at the end of their job."""
    UPLOADS = "uploads"
    """Uploads in parts: unfinished ones with what has arrived, and the records of finished ones."""
    LIBRARY = "library"
    """Assets that a plan keeps for a number of days: they go to the trash."""
    TRASH = "trash"
    """Assets in the trash: they are deleted for good."""
    DELIVERIES = "deliveries"
    """Deliveries of webhooks, and deleted endpoints with all of theirs."""
    BYTES = "bytes"
    """Stored bytes that no asset of their tenant needs any more."""


BY_PLAN = (Kind.LIBRARY, Kind.TRASH)
"""Kinds whose age depends on the tenant's plan."""


@dataclass(frozen=True, slots=True)
class Due:
    """What of one kind is due to be removed."""

    count: int
    """Counted up to a limit of the adapter."""
    oldest: datetime | None
    """When the oldest of them ended or was written; None: nothing is due."""


NOTHING_DUE = Due(0, None)


@dataclass(frozen=True, slots=True)
class Ages:
    """How many days each kind is kept. 0: without a limit of time."""

    days: Mapping[Kind, int]

    def before(self, kind: Kind, now: datetime) -> datetime | None:
        """Returns the time before which things of a kind are due; None: they are kept without a limit of time.

        For kinds whose age depends on the plan it is this moment.
        """
        if kind in BY_PLAN:
            return now
        days = self.days[kind]
        return now - timedelta(days=days) if days else None
