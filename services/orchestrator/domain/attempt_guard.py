"""Only the newest attempt of a job writes."""

from services.orchestrator.domain.job import Job, State


class Superseded(Exception):
    """Another attempt has taken the job over; whoever sees this stops and writes nothing more."""


def guard(job: Job, attempt: int) -> None:
    """Holds a writer against the job's current attempt. Raises Superseded when it is not (or no longer) its own."""
    if job.attempt != attempt or job.state not in (State.RUNNING, State.CANCELLING):
        raise Superseded(f"{job!r} is not in attempt {attempt} any more")
