"""The admission of jobs: all or nothing, and once per request."""

from typing import Protocol

from services.orchestrator.domain.caller import Caller
from services.orchestrator.domain.job import Job


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

    async def repeat(self, tenant: str, user: str, request_id: str, fingerprint: str) -> Job | None:
        """Returns the job that a request_id made, if it did. Raises RequestIdReused when the fingerprint differs."""
