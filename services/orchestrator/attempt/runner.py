"""Runs one attempt at a job: starts it, does its work, and concludes it with exactly one outcome.

If this process dies here, the next attempt continues the job.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic

from services.errors import Unavailable
from services.orchestrator.attempt.attempt_span import attempt_span
from services.orchestrator.attempt.checkpoints import Checkpoints
from services.orchestrator.attempt.error_classification import internal_error, outcome_of_error
from services.orchestrator.attempt.final_event_recorder import FinalEventRecorder
from services.orchestrator.attempt.generate import Generator
from services.orchestrator.attempt.outcome import (
    Made,
    Outcome,
    Refused,
    Stopped,
    TemporarilyUnavailable,
    TimedOut,
)
from services.orchestrator.attempt.paid_call_recorder import PaidCallRecorder
from services.orchestrator.attempt.result import AttemptResult, AwaitsReconciliation, JobEnded, TakenOver
from services.orchestrator.attempt.signed_outputs import SignedOutputs
from services.orchestrator.attempt.state import AttemptState
from services.orchestrator.attempt.stop_request import stop_request
from services.orchestrator.domain import next_event
from services.orchestrator.domain.attempt_guard import Superseded
from services.orchestrator.domain.catalog import Catalog
from services.orchestrator.domain.event import JobError, Reconciling
from services.orchestrator.domain.fragments import Fragments
from services.orchestrator.domain.job import Job, State
from services.orchestrator.domain.paid_call import Call
from services.orchestrator.ports.backend import Backend
from services.orchestrator.ports.blobs import Blobs
from services.orchestrator.ports.clock_and_ids import Clock
from services.orchestrator.ports.job_events import JobEvents
from services.orchestrator.ports.jobs import Jobs
from services.orchestrator.ports.meter import Meter
from services.orchestrator.ports.paid_backend import PaidBackend
from services.orchestrator.ports.paid_calls import PaidCalls
from services.orchestrator.ports.signal import Signal
from services.reasons import JobReason, VendorReason
from services.rpc import logs

ANSWER_WAIT_S = 20.0
"""Seconds that an attempt that must end waits for the answer to a submission; without it the outcome is unknown."""
VENDOR_STOP_S = 30.0
"""Seconds in which a vendor must say whether it stops a task."""
CARDS_WAIT = timedelta(minutes=3)
"""How long after admission a job waits for its model's card. Kubernetes brings files to all pods in two minutes."""
TIMER_TOLERANCE_S = 0.5
"""By how much a timer may fire before the clock shows its time."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AttemptRunner:
    """Runs attempts. Keeps no state between them."""

    jobs: Jobs
    job_events: JobEvents
    paid_calls: PaidCalls
    blobs: Blobs
    backends: Mapping[str, Backend]
    catalog: Callable[[], Catalog]
    """Returns the catalog that holds now. An attempt keeps the card with which it began."""
    clock: Clock
    meter: Meter
    generator: Generator
    paid_call_recorder: PaidCallRecorder
    final_events: FinalEventRecorder
    signed_outputs: SignedOutputs

    async def run(self, job_id: str, queue_entry: str = "") -> AttemptResult:
        """Runs one attempt.

        `queue_entry` is the entry that asks for it; an entry that the job does not have any more starts none.

        Raises Unavailable if the attempt cannot start, or be concluded before the job's deadline.
        """
        recorded = await self.jobs.record(job_id, lambda job: next_event.start(job, queue_entry, self.clock.now()))
        job = recorded.after
        logs.bind(job_id=job.id, tenant=job.tenant, attempt=job.attempt)
        state = AttemptState(job, self._checkpoints(job), self.catalog().cards.get(job.spec.model))
        if job.state.ended:
            if recorded.event is not None:  # by this start, which came too late
                self.meter.ended(job)
            await state.checkpoints.discard()
            return JobEnded()
        if recorded.event is None:
            return AwaitsReconciliation() if job.state is State.RECONCILING else TakenOver()
        if isinstance(recorded.event.body, Reconciling):
            log.warning("a submission was under way when its worker was lost")
            return AwaitsReconciliation()
        now = self.clock.now()
        with attempt_span(job, state.card.backend if state.card is not None else "", now) as span:
            if job.attempt == 1:
                self.meter.started(job, (now - job.create_time).total_seconds())
            outcome = await self._outcome(state)
            if isinstance(outcome, Stopped):
                await self._stop_at_vendor(state)
            span.set("i2v.outcome", type(outcome).__name__)
            return await self.final_events.record(state, outcome)

    async def discard_checkpoints(self, job: Job) -> None:
        """Removes what attempts left of a job that was ended elsewhere. Raises nothing."""
        await self._checkpoints(job).discard()

    def _checkpoints(self, job: Job) -> Checkpoints:
        return Checkpoints(self.blobs, self.meter, job, self.signed_outputs)

    async def _outcome(self, state: AttemptState) -> Outcome:
        """Loads what earlier attempts have made, and does the work. Raises Unavailable if it cannot be loaded."""
        job = state.job
        if state.card is None:
            return self._without_card(job)
        state.total_frames = state.card.frames(job.spec)
        if job.attempt > 1:
            state.fragments = Fragments.of(await self.job_events.fragments(job.id))
        if job.call is Call.ACCEPTED:
            call = await self.paid_calls.of_job(job)
            if call is None or not call.external_ref:
                message = "The vendor gave back what it was paid for this job."
                return Refused(JobError(VendorReason.TASK_GONE, message, retryable=True))
            state.external_ref = call.external_ref
        if job.state is State.CANCELLING:  # requested while another worker, since lost, had the job
            state.stop = monotonic()
            return Stopped()
        async with self.job_events.stops(job.id) as signal:
            return await self._work(state, signal)

    def _without_card(self, job: Job) -> Outcome:
        """Returns the outcome of a job whose model is not in the catalog of this worker, or not yet.

        The API that admitted a job may have read a new version of the model cards before this worker.
        """
        if self.clock.now() - job.create_time < CARDS_WAIT:
            message = f"The model {job.spec.model!r} is not in this worker's catalog yet."
            return TemporarilyUnavailable(JobError(JobReason.MODEL_GONE, message, retryable=True))
        message = f"The model {job.spec.model!r} is no longer in the catalog."
        return Refused(JobError(JobReason.MODEL_GONE, message, retryable=False))

    async def _work(self, state: AttemptState, signal: Signal) -> Outcome:
        """Generates the video until that ends, a stop comes, or the deadline passes."""
        job = state.job
        work = asyncio.create_task(self._generate(state), name=f"generate-{job.id}")
        stop = asyncio.create_task(stop_request(self.jobs, job, signal), name=f"stop-{job.id}")
        try:
            left_s = (job.expire_time - self.clock.now()).total_seconds()
            await asyncio.wait({work, stop}, timeout=max(0.0, left_s), return_when=asyncio.FIRST_COMPLETED)
            if stop.done():
                state.stop = monotonic()
            if not work.done():
                await _submission_answered(state)
                work.cancel()
                await asyncio.wait({work})
            if not work.cancelled():
                return work.result()
            if stop.done():
                return stop.result()
            if (job.expire_time - self.clock.now()).total_seconds() <= TIMER_TOLERANCE_S:
                return TimedOut()
            return internal_error("The backend gave up by itself; it has been logged.")
        finally:
            await _submission_answered(state)
            for task in (work, stop):
                task.cancel()
            await asyncio.wait({work, stop})

    async def _generate(self, state: AttemptState) -> Outcome:
        """Generates the video. All errors of the work become an outcome here."""
        try:
            return Made(await self.generator.generate(state))
        except Exception as error:
            return outcome_of_error(error)

    async def _stop_at_vendor(self, state: AttemptState) -> None:
        """Asks the vendor to stop the job's task. A task that cannot be stopped is paid for."""
        card = state.card
        backend = self.backends.get(card.backend) if card is not None else None
        if not state.external_ref or card is None or card.remote is None or not isinstance(backend, PaidBackend):
            return
        try:
            async with asyncio.timeout(VENDOR_STOP_S):
                if await backend.stop(state.external_ref, card.remote.model):
                    await self.paid_call_recorder.released(state, card.backend, VendorReason.CANCELLED)
        except Superseded:
            return  # the current attempt concludes the job
        except (Unavailable, TimeoutError):
            log.warning("the vendor could not be asked to stop; the task is paid for")


async def _submission_answered(state: AttemptState) -> None:
    """Waits a while for the answer to a submission, if one was made and not answered."""
    with suppress(TimeoutError):
        async with asyncio.timeout(ANSWER_WAIT_S):
            await state.submission_answered.wait()
