"""Records the steps of a paid call: a submission before it is made, the vendor's answer before anything else happens.

While the database is away a step waits for it, so no request to a vendor is unrecorded.
"""

import asyncio
import logging
from dataclasses import dataclass

from services.errors import PreconditionFailed, Unavailable
from services.orchestrator.attempt.state import AttemptState
from services.orchestrator.domain import next_event
from services.orchestrator.domain.attempt_guard import Superseded, guard
from services.orchestrator.domain.event import Accepted, Paid, Released, Submitting
from services.orchestrator.domain.job import Job, State
from services.orchestrator.domain.paid_call import Acceptance, Call, Step, Submission
from services.orchestrator.ports.jobs import Jobs
from services.orchestrator.ports.meter import Meter

RETRY_S = 1.0
"""Seconds between tries while the database is away."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PaidCallRecorder:
    """Records the steps of a job's paid call."""

    jobs: Jobs
    meter: Meter

    async def submitting(self, state: AttemptState, provider: str, model: str) -> None:
        """Records that a task is about to be submitted.

        Does not return if the job is asked to stop: the stop ends the attempt, and nothing must be submitted before.
        Raises Superseded.
        """
        before = await self._record(state, Submitting(provider), Submission(model))
        if before.state is State.CANCELLING:
            await asyncio.get_running_loop().create_future()
        self.meter.paid_call(provider, "submitting")
        state.submission_answered.clear()

    async def accepted(self, state: AttemptState, provider: str, external_ref: str) -> None:
        """Records the vendor's name of the task.

        Raises Superseded, and PreconditionFailed (REFERENCE_TAKEN) if the task belongs to another job.
        """
        try:
            await self._record(state, Accepted(provider), Acceptance(external_ref))
        except PreconditionFailed as refused:
            if refused.reason == next_event.TAKEN.reason:
                other = refused.metadata.get("job", "")
                found = {"backend": provider, "external_ref": external_ref, "other_job_id": other}
                log.error("the vendor answered with a task that another job has", extra=found)
                self.meter.paid_call(provider, "taken")
            raise
        self.meter.paid_call(provider, "accepted")
        state.external_ref = external_ref
        state.submission_answered.set()

    async def released(self, state: AttemptState, provider: str, reason: str) -> None:
        """Records that the job's task, if there is one, certainly costs nothing. Raises Superseded."""
        await self._record(state, Released(provider, reason))
        self.meter.paid_call(provider, "released")
        state.submission_answered.set()

    async def _record(self, state: AttemptState, body: Paid, step: Step | None = None) -> Job:
        """Records a step, and retries while the database is away. Returns the job before it."""
        while True:
            try:
                recorded = await self.jobs.record(
                    state.job.id, lambda job: paid_call_event(job, state.job.attempt, body), step=step
                )
            except Unavailable:
                log.warning("a step of a paid call cannot be recorded yet")
                await asyncio.sleep(RETRY_S)
            else:
                return recorded.before


def paid_call_event(job: Job, attempt: int, body: Paid) -> Paid | None:
    """Returns the event to record for a step of the paid call; None if an earlier try has recorded it.

    A submission is not recorded if the job is asked to stop. An answer is: the money was spent, or was not. Raises
    Superseded.
    """
    if job.attempt != attempt or job.state.ended:
        raise Superseded(f"{job!r} is not in attempt {attempt} any more")
    match body:
        case Submitting():
            guard(job, attempt)
            return None if job.state is State.CANCELLING or job.call is Call.SUBMITTING else body
        case Accepted():
            return None if job.call is Call.ACCEPTED else body
        case Released():
            return body if job.call.live else None
