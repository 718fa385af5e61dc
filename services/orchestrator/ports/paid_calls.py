"""Paid calls: submissions to vendors, each with what is known of its money."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from services.orchestrator.domain.job import Job
from services.orchestrator.domain.paid_call import OwedCall, PaidCall


@dataclass(frozen=True, slots=True)
class Refund:
    """What is known of a refund."""

    job: Job
    """The job that was charged."""
    call: PaidCall
    """Its call as it was before: `charged`, or `released` if the price was given back earlier."""


class PaidCalls(Protocol):
    """The paid calls of all jobs. Every method raises services.errors.Unavailable if the database cannot be reached.

    A call is written by Jobs.record, in the transaction of its event.
    """

    async def of_job(self, job: Job) -> PaidCall | None:
        """Returns the call of a job, or of the job that it resumes, that costs or may cost money; None without one."""

    async def refund(self, job_id: str) -> Refund:
        """Gives a job's price back, once, that ended without its video; of one that resumes another, that one's price.

        Raises NotFound; PreconditionFailed when there is nothing to give back.
        """

    async def reconciling(self, *, after: str, limit: int) -> list[Job]:
        """Returns jobs whose paid call has an unknown outcome, with ids above `after`, the oldest first."""

    async def of_provider(
        self, provider: str, since: datetime, until: datetime, *, after: PaidCall | None, limit: int
    ) -> list[OwedCall]:
        """Returns calls that were submitted in a period, after one of them, the oldest first."""

    async def count_reconciling(self) -> int:
        """Returns how many jobs have a paid call with an unknown outcome."""
