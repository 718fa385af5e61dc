"""The place of jobs, money and whatever is known of assets."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from services.orchestrator.domain.asset import Asset
from services.orchestrator.domain.event import Body, Event, FragmentReady
from services.orchestrator.domain.job import Job, State
from services.orchestrator.domain.ledger import Entry
from services.orchestrator.domain.paid_call import PaidCall, Step
from services.orchestrator.domain.quota import Plan, Usage

Decide = Callable[[Job], Body | None]
"""Looks at a job under its row's lock and says what happens to it next; None leaves it as it is."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """What was recorded of a job, and the job on both sides of it."""

    before: Job
    event: Event | None
    """None: the decision was to leave the job as it is."""
    after: Job


class Signal(Protocol):
    """Wakes a waiter when something happens to one job, or at one queue."""

    async def wait(self, timeout_s: float) -> bool:
        """Returns True once something may have happened since the last call, False after `timeout_s` of quiet."""


class Store(Protocol):
    """Jobs, their events, accounts, the ledger and what is known of assets, in one database.

    Every method raises services.errors.Unavailable when the database cannot be reached.
    """

    async def tenant_of_key(self, key_sha256: str) -> tuple[str, str] | None:
        """Returns (tenant id, plan name) of an API key by its digest, None when nobody has it."""

    async def admit(self, job: Job, fingerprint: str, plan: Plan, backend: str) -> Job:
        """Books, stores and queues a job in one transaction, or leaves no trace.

        Idempotent per (tenant, user, request_id): a repeat with the same fingerprint returns the first job. A job that
        resumes another is that one's only one under way: a second returns the first.

        Raises:
            QuotaExceeded: a rule of the plan refused.
            RequestIdReused: the request_id came before with another fingerprint.
        """

    async def repeat(self, tenant: str, user: str, request_id: str, fingerprint: str) -> Job | None:
        """Returns the job that a request_id made, if it did. Raises RequestIdReused when the fingerprint differs."""

    async def record(
        self, job_id: str, decide: Decide, *, assets: Sequence[Asset] = (), step: Step | None = None
    ) -> Recorded:
        """Adds the event that `decide` chooses, with the assets that it names.

        In the same transaction a terminal event settles the job's reservation, an event of a paid call is stored with
        the call, and a resumed job is queued again. `step` is the Submission of a Submitting, the Acceptance of an
        Accepted.

        Raises: NotFound; PreconditionFailed when another job has the reference of Accepted; whatever `decide` raises.
        """

    async def paid_call(self, job: Job) -> PaidCall | None:
        """Returns the call of a job, or of the job that it resumes, that costs or may cost money; None without one."""

    async def refund(self, job_id: str) -> tuple[Job, PaidCall]:
        """Gives a job's price back, once, that ended without its video; of one that resumes another, that one's price.

        Returns the job that was charged, and its call as it was before: `charged`, or `released` where the price was
        given back earlier. Raises NotFound; PreconditionFailed when there is nothing to give back.
        """

    async def reconciling(self, *, after: str, limit: int) -> list[Job]:
        """Returns jobs whose paid call has an unknown outcome, with ids above `after`, the oldest first."""

    async def count_reconciling(self) -> int:
        """Returns how many jobs have a paid call with an unknown outcome."""

    async def job(self, job_id: str, *, tenant: str | None = None, user: str | None = None) -> Job:
        """Returns a job; with tenant and user, only if it is theirs. Raises NotFound."""

    async def jobs(self, tenant: str, user: str, *, state: State | None, before: str | None, limit: int) -> list[Job]:
        """Returns a user's jobs with ids below `before`, the newest first."""

    async def events(self, job_id: str, *, after: int, limit: int = 200) -> list[Event]:
        """Returns a job's events after a sequence number, in order."""

    async def fragments(self, job_id: str) -> list[FragmentReady]:
        """Returns what was told of a job's fragments, by all its attempts, in order."""

    def changes(self, job_id: str) -> AbstractAsyncContextManager[Signal]:
        """Wakes on every event of a job."""

    def stops(self, job_id: str) -> AbstractAsyncContextManager[Signal]:
        """Wakes when a job is asked to stop, or is taken over by another attempt."""

    def entries(self, backend: str) -> AbstractAsyncContextManager[Signal]:
        """Wakes when a job is put onto the queue of a backend, by any process."""

    async def overdue(self, now: datetime, *, grace_s: float) -> list[str]:
        """Returns the ids of jobs whose expire_time has passed; of begun ones, `grace_s` ago."""

    async def queued(self, backend: str) -> int:
        """Returns how many jobs wait for a backend."""

    async def queue_places(self, job_ids: Sequence[str]) -> Mapping[str, int]:
        """Returns the place of each job in the queue of its backend, from 1; jobs that do not wait are left out."""

    async def usage(self, tenant: str, user: str, plan: Plan) -> tuple[Usage, list[Entry]]:
        """Returns the accounts of the current period and the user's newest ledger entries."""

    async def put_asset(self, asset: Asset) -> Asset:
        """Notes an asset; the one noted first is kept and returned."""

    async def asset(self, sha256: str, *, tenant: str, user: str) -> Asset:
        """Returns what is known of an asset if it is this user's. Raises NotFound."""

    async def check(self) -> None:
        """Raises Unavailable when the database cannot be used."""
