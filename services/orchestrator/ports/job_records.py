"""The jobs of all tenants, as operators see them."""

from typing import Protocol

from services.orchestrator.domain.job_record import JobDetails, JobFilter, JobPage


class JobRecords(Protocol):
    """Reads of jobs. Every method raises services.errors.Unavailable if the database cannot be reached."""

    async def page(self, which: JobFilter, *, before: str | None, limit: int) -> JobPage:
        """Returns at most so many jobs with ids below `before`, the newest first; sometimes fewer, or none."""

    async def details(self, job_id: str) -> JobDetails:
        """Returns everything about a job. Raises NotFound."""
