"""The admission of jobs: all or nothing, and once per request."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from services.orchestrator.domain.caller import Caller
from services.orchestrator.domain.job import Job


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job that is to be admitted."""

    job: Job
    fingerprint: str
    """Of its spec as requested."""
    backend: str


class Admissions(Protocol):
    """Admits jobs. Every method raises services.errors.Unavailable if the database cannot be reached."""

    async def admit(self, job: Job, fingerprint: str, caller: Caller, backend: str) -> Job:
        """Books, stores and queues a job in one transaction, or leaves no trace.

        Idempotent per (tenant, user, request_id): a repeat with the same fingerprint returns the first job. Only one
        job at a time resumes another: a second returns the first.

        Raises:
            QuotaExceeded: limits of the caller's plan refused; names all of them.
            RequestIdReused: the request_id came before with another fingerprint.
        """

    async def admit_all(self, new: Sequence[NewJob], caller: Caller) -> list[Job]:
        """Admits jobs of the caller, none of which resumes another, in one transaction, or leaves no trace.

        Returns them in the same order; in place of one whose request_id came before, the first job.

        Raises:
            QuotaExceeded: a limit does not allow all of them together.
            RequestIdReused: the request_id of one came before with another fingerprint.
        """

    async def repeat(self, tenant: str, user: str, request_id: str, fingerprint: str) -> Job | None:
        """Returns the job that a request_id made, if it did. Raises RequestIdReused when the fingerprint differs."""
