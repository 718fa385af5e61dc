"""The last event of an ended job, made from the job itself. It is what a watch has when the events were removed."""

from services.orchestrator.domain.event import Cancelled, Event, Failed, Succeeded
from services.orchestrator.domain.job import Job


def final_event(job: Job) -> Event:
    """Returns the terminal event of an ended job, equal to the recorded one. Raises ValueError if it has not ended."""
    charged = job.charged_micros
    if charged is None or job.end_time is None:
        raise ValueError(f"{job!r} has not ended")
    if job.output is not None:
        return Event(job.last_sequence, job.end_time, Succeeded(job.output, charged))
    if job.error is not None:
        return Event(job.last_sequence, job.end_time, Failed(job.error, charged))
    return Event(job.last_sequence, job.end_time, Cancelled(charged))
