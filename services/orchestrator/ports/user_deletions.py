"""Deletions of users: their records, and the steps that delete. Every step can be repeated, and is one transaction.

Every method raises services.errors.Unavailable if the database cannot be reached.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from services.orchestrator.domain.audit import Act
from services.orchestrator.domain.user_deletion import Holdings, Obstacle, UserDeletion
from services.orchestrator.ports.retention import OldJob


@dataclass(frozen=True, slots=True)
class QueuedRun:
    """An entry of the job queue."""

    id: str
    taken: bool
    """A worker has it."""


class UserDeletions(Protocol):
    """The records."""

    async def begin(self, deletion: UserDeletion, act: Act) -> UserDeletion:
        """Begins a deletion, with its entry in the audit log. From now on nothing new of the user is stored.

        Returns the one of an earlier call with the same id, or the one of the same user that is under way. Raises
        NotFound (no such tenant); PreconditionFailed (legal hold); RequestIdReused (the id belongs to another user).
        """

    async def get(self, tenant: str, deletion: str) -> UserDeletion:
        """Returns a deletion. Raises NotFound."""

    async def page(self, tenant: str, *, before: tuple[datetime, str] | None, limit: int) -> Sequence[UserDeletion]:
        """Returns a tenant's deletions, the newest first, those that began before a moment and id."""

    async def open(self, *, after: UserDeletion | None, limit: int) -> Sequence[UserDeletion]:
        """Returns deletions of all tenants that are not done, the oldest first, those that follow `after`."""

    async def holdings(self, tenant: str, user: str) -> Holdings:
        """Returns what a user has. Raises NotFound (no such tenant)."""

    async def waits(self, deletion: UserDeletion, obstacle: Obstacle) -> None:
        """Records what a deletion waits for."""


class UserData(Protocol):
    """What belongs to the user of a deletion.

    Methods that delete return how many things were deleted, at most `limit`, and add them to the deletion's counts in
    the same transaction. They raise OnHold under a legal hold.
    """

    async def demand_no_hold(self, deletion: UserDeletion) -> None:
        """Raises OnHold under a legal hold."""

    async def unfinished_jobs(self, deletion: UserDeletion, *, limit: int) -> Sequence[str]:
        """Returns ids of jobs that have not ended."""

    async def uploads_deleted(self, deletion: UserDeletion, count: int) -> None:
        """Counts uploads that were discarded."""

    async def delete_collections(self, deletion: UserDeletion, *, limit: int) -> int:
        """Deletes members of collections, then collections without members."""

    async def delete_assets(self, deletion: UserDeletion, now: datetime, *, limit: int) -> int:
        """Deletes assets that no unfinished job uses, with their entries and manifests. Notes their bytes for the
        collector, and gives back what was counted of them.
        """

    async def ended_jobs(self, deletion: UserDeletion, *, after: str, limit: int) -> Sequence[OldJob]:
        """Returns jobs that have ended, in the order of their ids, those after one. Those that resume another, have a
        resume under way, or wait for the audit of counters are left out.
        """

    async def resumes(self, job: OldJob) -> Sequence[OldJob]:
        """Returns the jobs that resume a job."""

    async def queued_runs(self, job: OldJob) -> Sequence[QueuedRun]:
        """Returns the entries of a job in the job queue."""

    async def delete_job(self, deletion: UserDeletion, job: OldJob) -> int:
        """Deletes a job and those that resume it, with their holds and paid calls. They must have no events any more.

        Returns 0 if a resume has begun meanwhile.
        """

    async def delete_deliveries(self, deletion: UserDeletion, *, limit: int) -> int:
        """Deletes deliveries of webhooks that are about the user, delivered or not. They are not counted."""

    async def rename_bookings(self, deletion: UserDeletion, *, limit: int) -> int:
        """Gives entries of the ledger the pseudonym."""

    async def erase(self, deletion: UserDeletion, now: datetime) -> bool:
        """Erases the last of the user: its limits, and its id in counters, in the audit log and in the deletion itself.

        Returns False, with nothing done, if more than that is left.
        """

    async def end(self, deletion: UserDeletion, now: datetime) -> bool:
        """Ends the deletion if all of its bytes are gone. Returns whether it has ended."""
