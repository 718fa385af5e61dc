"""Jobs: how they are read, and how what happens to them is recorded."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from services.orchestrator.domain.asset import Asset
from services.orchestrator.domain.event import Body, Event
from services.orchestrator.domain.job import Job, State
from services.orchestrator.domain.manifest import Manifest
from services.orchestrator.domain.paid_call import Step

Decide = Callable[[Job], Body | None]
"""Looks at a job under its row's lock and says what happens to it next; None leaves it as it is."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """What was recorded of a job, and the job on both sides of it."""

    before: Job
    event: Event | None
    """None: the decision was to leave the job as it is."""
    after: Job


class Jobs(Protocol):
    """The jobs of all tenants. Every method raises services.errors.Unavailable if the database cannot be reached."""

    async def record(
        self,
        job_id: str,
        decide: Decide,
        *,
        assets: Sequence[Asset] = (),
        step: Step | None = None,
        manifest: Manifest | None = None,
    ) -> Recorded:
        """Adds the event that `decide` chooses, with the assets that it names.

        In the same transaction a terminal event settles the job's reservation, an event of a paid call is stored with
        the call, and a resumed job is queued again. `step` is the Submission of a Submitting, the Acceptance of an
        Accepted. `manifest` is of one of the assets.

        Raises: NotFound; PreconditionFailed when another job has the reference of Accepted; and what `decide` raises.
        """

    async def get(self, job_id: str, *, tenant: str | None = None, user: str | None = None) -> Job:
        """Returns a job; with tenant and user, only if it is theirs and they have not deleted it. Raises NotFound."""

    async def page(
        self,
        tenant: str,
        user: str,
        *,
        state: State | None,
        after: str | None,
        limit: int,
        oldest_first: bool = False,
        omit_deleted: bool = False,
    ) -> list[Job]:
        """Returns a user's jobs that follow the job `after`, the newest first unless asked otherwise.

        Those that the user has deleted are left out; by `omit_deleted` also those whose video is in the trash or gone.
        """

    async def delete(self, job_id: str, *, tenant: str, user: str, stopping: bool = False) -> Job:
        """Deletes an ended job of a user: they see it no more. Returns it; a repeat returns the same.

        `stopping` also deletes one that was asked to stop, before it has ended.

        Raises: NotFound; PreconditionFailed, JOB_UNFINISHED.
        """

    async def overdue(self, now: datetime, *, grace_s: float) -> list[str]:
        """Returns the ids of jobs whose expire_time has passed, of begun ones `grace_s` ago, or their start timeout."""
