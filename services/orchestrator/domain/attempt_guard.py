"""Only the newest attempt of a job writes."""

from services.orchestrator.domain.job import Job, State


class Superseded(Exception):
    """Another attempt has taken the job over: the caller must stop and write nothing more."""


def guard(job: Job, attempt: int) -> None:
    """Raises Superseded unless this attempt is the job's current one, and running."""
    if job.attempt != attempt or job.state not in (State.RUNNING, State.CANCELLING):
        raise Superseded(f"{job!r} is not in attempt {attempt} any more")
