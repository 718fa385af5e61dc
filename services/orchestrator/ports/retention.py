"""What retention needs of the database: what is due, and its removal.

A legal hold of a tenant keeps everything of it. Every method raises services.errors.Unavailable if the database
cannot be reached.
"""

from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from services.orchestrator.domain.audit import Act
from services.orchestrator.domain.limits.calendar import Period
from services.orchestrator.domain.retention import Due, Kind

OnlyOne = Callable[[], AbstractAsyncContextManager[bool]]
"""Yields whether this process alone removes within the block. A process that dies gives way at once."""


class OnHold(Exception):
    """The tenant came under a legal hold after its jobs were listed. Nothing was removed."""


@dataclass(frozen=True, slots=True)
class OldJob:
    """An ended job of which something is due."""

    id: str
    tenant: str
    user: str
    end_time: datetime


@dataclass(frozen=True, slots=True)
class OldEntry:
    """An ended queue entry."""

    id: str
    end_time: datetime


class OldJobs(Protocol):
    """Ended jobs, their events and their fragments. Tenants under a legal hold are left out."""

    async def events_due(self, before: datetime) -> Due:
        """Returns which jobs that ended before then still have events."""

    async def with_events(self, before: datetime, *, after: OldJob | None, limit: int) -> list[OldJob]:
        """Returns jobs that ended before then and still have events, the oldest first, those that follow `after`."""

    async def forget_fragments(self, job: OldJob) -> list[str]:
        """Removes the records of a job's fragments if its video exists. Uploads, videos, and fragments that another job
        has too are kept.

        Returns the SHA-256 of each fragment that no user of the tenant has any more, also of those that an interrupted
        call removed. Raises OnHold.
        """

    async def remove_events(self, job: OldJob, most: int) -> int:
        """Removes the last events of a job, at most so many; returns how many there were. Raises OnHold."""

    async def jobs_due(self, before: datetime) -> Due:
        """Returns which jobs are due. A job and those that resume it are due together, when all have ended before then.

        A job that was paid for and can still be resumed is never due.
        """

    async def due_jobs(self, before: datetime, *, after: OldJob | None, limit: int) -> list[OldJob]:
        """Returns jobs that are due, without those that resume them, the oldest first, those that follow `after`."""

    async def resumes_of(self, job: OldJob) -> list[OldJob]:
        """Returns the jobs that resume a job."""

    async def remove(self, job: OldJob, before: datetime) -> int:
        """Removes a job and those that resume it, with their holds and paid calls. They must have no events any more.

        Returns how many jobs were removed; 0 if one of them is not due any more. Raises OnHold.
        """

    async def needing_checkpoints(self, job_ids: Collection[str]) -> set[str]:
        """Returns those of some jobs that have not ended, or whose tenant is under a legal hold."""


class OldEntries(Protocol):
    """Ended queue entries of ended jobs. Tenants under a legal hold are left out."""

    async def due(self, before: datetime) -> Due:
        """Returns which entries ended before then."""

    async def page(self, before: datetime, *, after: OldEntry | None, limit: int) -> list[OldEntry]:
        """Returns entries that ended before then, the oldest first, those that follow `after`."""


@dataclass(frozen=True, slots=True)
class FoldedMonth:
    """A month of a tenant's ledger that was folded, or would be."""

    month: str
    entries: int
    """Replaced by the balances."""
    balances: int


class OldBookings(Protocol):
    """The bookings of jobs, which can be folded into monthly balances."""

    async def oldest(self, tenant: str, since: datetime | None) -> datetime | None:
        """Returns the period time of a tenant's oldest booking that is not folded, from `since` on; None: none is left.

        Raises NotFound; PreconditionFailed if the tenant is under a legal hold.
        """

    async def fold(self, tenant: str, month: Period, *, dry_run: bool) -> FoldedMonth:
        """Replaces the bookings of a month by one balance for each user, key, model and operation, or only counts them.

        Raises PreconditionFailed if jobs of the month are kept, or the tenant is under a legal hold.
        """


class LegalHolds(Protocol):
    """The legal holds of tenants. Each change and its entry in the audit log are one transaction."""

    async def all(self) -> Mapping[str, str]:
        """Returns the reason of each hold, by tenant."""

    async def set(self, tenant: str, reason: str, act: Act) -> None:
        """Keeps everything of a tenant from now on; waits for a removal under way. Raises NotFound."""

    async def clear(self, tenant: str, act: Act) -> None:
        """Ends a hold, if there is one. Raises NotFound."""


class RetentionMeter(Protocol):
    """Metrics of retention. Raises nothing."""

    def removed(self, kind: Kind, count: int) -> None:
        """So many things of a kind were removed."""

    def retention_round(self, kind: Kind, time: datetime, due: Due) -> None:
        """A round of a kind succeeded, and left what is due now."""
