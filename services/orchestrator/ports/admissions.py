"""The admission of jobs: all or nothing, and once per request."""

from typing import Protocol

from services.orchestrator.domain.job import Job
from services.orchestrator.domain.plan import Plan


class Admissions(Protocol):
    """Admits jobs. Every method raises services.errors.Unavailable if the database cannot be reached."""

    async def admit(self, job: Job, fingerprint: str, plan: Plan, backend: str) -> Job:
        """Books, stores and queues a job in one transaction, or leaves no trace.

        Idempotent per (tenant, user, request_id): a repeat with the same fingerprint returns the first job. Only one
        job at a time resumes another: a second returns the first.

        Raises:
            QuotaExceeded: a rule of the plan refused.
            RequestIdReused: the request_id came before with another fingerprint.
        """

    async def repeat(self, tenant: str, user: str, request_id: str, fingerprint: str) -> Job | None:
        """Returns the job that a request_id made, if it did. Raises RequestIdReused when the fingerprint differs."""
