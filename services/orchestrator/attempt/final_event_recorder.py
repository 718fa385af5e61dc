"""Records the event that ends an attempt, and cleans up."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import assert_never

from services.errors import Unavailable
from services.orchestrator.attempt.fail_retry_or_reroute import AttemptFacts, final_event, rerouting_error
from services.orchestrator.attempt.fallback_model import FallbackModels
from services.orchestrator.attempt.outcome import Ending, Outcome, PaidTaskFailed
from services.orchestrator.attempt.result import AttemptResult, FinalEvent, RetryAfter, TakenOver, result_of
from services.orchestrator.attempt.state import AttemptState
from services.orchestrator.domain.attempt_guard import Superseded, guard
from services.orchestrator.domain.event import Cancelled, Failed, Reconciling, Rerouted, Retrying, Succeeded
from services.orchestrator.domain.job import Job, State
from services.orchestrator.domain.next_event import RETRY_MOST_S
from services.orchestrator.domain.paid_call import Call, Charge
from services.orchestrator.ports.clock_and_ids import Clock
from services.orchestrator.ports.jobs import Jobs
from services.orchestrator.ports.meter import Meter

RETRY_S = 1.0
"""Seconds between tries while the database is away."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FinalEventRecorder:
    """Ends attempts."""

    jobs: Jobs
    fallback_models: FallbackModels
    clock: Clock
    meter: Meter
    longest_retry_s: float = RETRY_MOST_S
    finished: Callable[[Job], None] = lambda job: None
    """Called with each job that has succeeded. It must not wait."""

    async def record(self, state: AttemptState, outcome: Outcome) -> AttemptResult:
        """Records what the outcome means for the job.

        Raises Unavailable while another model cannot be searched for, and when the end cannot be recorded by the job's
        deadline.
        """
        if isinstance(outcome, TakenOver):
            log.info("another attempt has the job; this one leaves")
            return await self._leave(state)
        if isinstance(outcome, PaidTaskFailed):
            _report_unknown_charge(state, outcome)
        facts = await self._facts(state, outcome)
        try:
            event, job = await self._record(state, outcome, facts)
        except Superseded:
            return await self._leave(state)
        await self._report(state, event, job)
        return result_of(event, self.clock.now())

    async def _facts(self, state: AttemptState, outcome: Ending) -> AttemptFacts:
        error = rerouting_error(outcome)
        return AttemptFacts(
            remote=state.card is not None and state.card.remote is not None,
            has_task=state.external_ref != "",
            partial_charge_micros=state.partial_charge(),
            longest_retry_s=self.longest_retry_s,
            fallback=await self.fallback_models.find(state.job, error) if error is not None else None,
        )

    async def _record(self, state: AttemptState, outcome: Ending, facts: AttemptFacts) -> tuple[FinalEvent, Job]:
        """Records the final event, and retries while the database is away, so that finished work is not repeated.

        If the answer to a try was lost, the next one finds the job ended or waiting, and raises Superseded.
        """

        def decide(job: Job) -> FinalEvent:
            guard(job, state.job.attempt)
            return final_event(outcome, job, facts, self.clock.now())

        while True:
            try:
                recorded = await self.jobs.record(state.job.id, decide, assets=state.output, manifest=state.manifest)
            except Unavailable:
                if self.clock.now() > state.job.expire_time:
                    raise
                log.warning("the end cannot be recorded yet")
                await asyncio.sleep(RETRY_S)
            else:
                assert recorded.event is not None and isinstance(recorded.event.body, FinalEvent)
                return recorded.event.body, recorded.after

    async def _report(self, state: AttemptState, event: FinalEvent, job: Job) -> None:
        match event:
            case Succeeded() | Failed() | Cancelled():
                await state.checkpoints.discard()
                self.meter.ended(job)
                if state.stop is not None:
                    self.meter.stopped(monotonic() - state.stop)
                if isinstance(event, Succeeded):
                    if state.job.attempt == 1:
                        self.meter.made(job, monotonic() - state.begin)
                    self.finished(job)
                if job.call is Call.CHARGED:
                    self._count_paid_call(state, "charged")
                log.info("job ended", extra={"state": job.state.value, "charged_micros": job.charged_micros})
            case Reconciling():
                self._count_paid_call(state, "lost")
                log.error("it is unknown what the vendor has done; the job is being reconciled")
            case Rerouted(model=model, error=error):
                log.warning("another model is asked", extra={"model": model, "reason": error.reason})
            case Retrying(error=error):
                log.warning("job waits for another attempt", extra={"reason": error.reason})
            case _:
                assert_never(event)

    async def _leave(self, state: AttemptState) -> AttemptResult:
        """Leaves a job to its other attempt. If it has ended, removes what this attempt has stored since.

        A job that waits for the next attempt of the same queue entry is not left: its `Retrying` was recorded by this
        attempt, which lost the answer, and only this entry will run it.
        """
        while True:
            try:
                job = await self.jobs.get(state.job.id)
                break
            except Unavailable:  # raising it would begin another attempt, and take the job from its owner
                if self.clock.now() > state.job.expire_time:
                    return TakenOver()
                await asyncio.sleep(RETRY_S)
        if job.state.ended:
            await state.checkpoints.discard()
        own = (State.QUEUED, state.job.attempt, state.job.workflow)
        return RetryAfter(RETRY_S) if (job.state, job.attempt, job.workflow) == own else TakenOver()

    def _count_paid_call(self, state: AttemptState, step: str) -> None:
        if state.card is not None:
            self.meter.paid_call(state.card.backend, step)


def _report_unknown_charge(state: AttemptState, outcome: PaidTaskFailed) -> None:
    """Logs that the job pays for a task that the vendor may not have charged: an operator can give that back."""
    if outcome.charge is Charge.UNKNOWN and state.external_ref and not outcome.error.resumable:
        known = {"job_id": state.job.id, "model": state.job.spec.model, "reason": outcome.error.reason}
        log.error("a task came to nothing, and it is unknown whether the vendor charged it", extra=known)
