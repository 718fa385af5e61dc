"""Finds out what became of a submission whose answer from the vendor was lost. The job is never submitted again.

The vendor searches for the task. If it does not find it after the refund window that it promises, it has given back
what it took for nothing, and the job fails free of charge. If it promises no window, or cannot be reached, an operator
decides. Each step is one event: if a process dies between two steps, any other continues with the next.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from services.errors import PreconditionFailed, Unavailable
from services.orchestrator.domain import next_event
from services.orchestrator.domain.event import Accepted, Body, JobError, Reconciling, Released, Resumed
from services.orchestrator.domain.job import Job, State
from services.orchestrator.domain.paid_call import Acceptance, Call, Finding, Found, PaidCall
from services.orchestrator.ports.backend import Backend
from services.orchestrator.ports.clock_and_ids import Clock
from services.orchestrator.ports.job_events import JobEvents
from services.orchestrator.ports.jobs import Decide, Jobs
from services.orchestrator.ports.meter import Meter
from services.orchestrator.ports.paid_backend import PaidBackend
from services.orchestrator.ports.paid_calls import PaidCalls, Refund
from services.reasons import RequestReason, VendorReason

LOST = JobError(VendorReason.ANSWER_LOST, "The vendor's answer was lost, and it has no such task.", retryable=True)
UNFOUND = JobError(
    VendorReason.ANSWER_LOST, "The vendor's answer was lost, and no such task was found in time.", retryable=True
)
SETTLED = JobError(
    VendorReason.SETTLED_BY_OPERATOR, "The vendor's answer was lost; a person has settled it.", retryable=True
)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Reconciler:
    """Ends RECONCILING jobs, or returns them to the queue. Holds no state of its own."""

    jobs: Jobs
    job_events: JobEvents
    paid_calls: PaidCalls
    clock: Clock
    meter: Meter

    async def reconcile(self, job: Job, backends: Mapping[str, Backend], refund_window_s: float) -> Job:
        """Takes the next step that is possible now, and returns the job. Raises Unavailable.

        A task that is not found is given up after `refund_window_s` at the earliest.
        """
        if job.state is not State.RECONCILING:
            return job
        if job.call is Call.ACCEPTED:
            return await self._resume(job.id)
        call = await self.paid_calls.of_job(job)
        if job.call is Call.NONE or call is None:
            return await self._end(job.id, LOST)
        search_time = self.clock.now()
        found = await self._find(call, backends.get(call.provider))
        if found.finding is Finding.FOUND:
            try:
                return await self.attach(job.id, found.external_ref)
            except PreconditionFailed as refused:
                if refused.reason != next_event.TAKEN.reason:
                    raise
                return await self._report_taken(job, call, found.external_ref, refused.metadata.get("job", ""))
        if found.finding is Finding.ABSENT:
            return await self._release(job.id, call.provider, LOST)
        window_s = found.refund_window_s
        if window_s is not None and search_time > call.submit_time + timedelta(seconds=max(window_s, refund_window_s)):
            # The vendor refunds failed tasks. If this one did not fail, its bill has a charge that no ledger has.
            known = {"job_id": job.id, "backend": call.provider, "submission_id": call.submission_id}
            log.error("a paid call is given up; the vendor's bill may have it", extra=known)
            return await self._release(job.id, call.provider, UNFOUND)
        return job

    async def _report_taken(self, job: Job, call: PaidCall, external_ref: str, other: str) -> Job:
        """Reports once, on the job, in the log and in the metrics, that the found task belongs to another job."""
        if (await self.why(job)) == next_event.TAKEN:
            return job
        known = {"job_id": job.id, "backend": call.provider, "external_ref": external_ref, "other_job_id": other}
        log.error("a lost submission was found as a task that another job has", extra=known)
        self.meter.paid_call(call.provider, "taken")
        return (await self.jobs.record(job.id, _while_unknown(Reconciling(next_event.TAKEN)))).after

    async def why(self, job: Job) -> JobError | None:
        """Returns why a job is RECONCILING; None if it is not. Raises Unavailable."""
        last = await self.job_events.read(job.id, after=job.last_sequence - 1, limit=1)
        body = last[0].body if last else None
        return body.error if isinstance(body, Reconciling) else None

    async def call(self, job_id: str) -> PaidCall:
        """Returns the paid call of a job whose outcome is unknown. Raises PreconditionFailed, NotFound."""
        job = await self.jobs.get(job_id)
        _demand_unknown(job)
        call = await self.paid_calls.of_job(job)
        if call is None:
            raise PreconditionFailed("This job has no paid call.", reason=RequestReason.NOT_RECONCILING)
        return call

    async def attach(self, job_id: str, external_ref: str) -> Job:
        """Continues with a task that was found. Raises PreconditionFailed, NotFound."""
        call = await self.call(job_id)
        found = _while_unknown(Accepted(call.provider))
        await self.jobs.record(job_id, found, step=Acceptance(external_ref))
        self.meter.paid_call(call.provider, "accepted")
        return await self._resume(job_id)

    async def release(self, job_id: str) -> Job:
        """Ends a job whose task certainly costs nothing. Raises PreconditionFailed, NotFound."""
        return await self._release(job_id, (await self.call(job_id)).provider, SETTLED)

    async def charge(self, job_id: str) -> Job:
        """Ends a job whose task was charged, and will not bring a video. Raises PreconditionFailed, NotFound."""
        call = await self.call(job_id)

        def decide(now: Job) -> Body:
            _demand_unknown(now)
            return next_event.settle(now, SETTLED)

        job = (await self.jobs.record(job_id, decide)).after
        self.meter.paid_call(call.provider, "charged")
        self.meter.ended(job)
        return job

    async def refund(self, job_id: str) -> Refund:
        """Gives back the price of a job that was charged for a task which cost nothing after all.

        Idempotent. Raises PreconditionFailed, NotFound.
        """
        refund = await self.paid_calls.refund(job_id)
        if refund.call.state != "released":
            known = {"job_id": refund.job.id, "backend": refund.call.provider}
            log.info("a charge was given back", extra=known)
            self.meter.paid_call(refund.call.provider, "refunded")
        return refund

    async def _find(self, call: PaidCall, backend: Backend | None) -> Found:
        if not isinstance(backend, PaidBackend):
            return Found(Finding.UNKNOWN)
        try:
            return await backend.find(call)
        except Unavailable:
            log.warning("the vendor cannot be asked for a lost task", extra={"backend": call.provider})
            return Found(Finding.UNKNOWN)

    async def _release(self, job_id: str, provider: str, error: JobError) -> Job:
        await self.jobs.record(job_id, _while_unknown(Released(provider, error.reason)))
        self.meter.paid_call(provider, "released")
        return await self._end(job_id, error)

    async def _end(self, job_id: str, error: JobError) -> Job:
        def decide(now: Job) -> Body | None:
            return next_event.settle(now, error) if now.state is State.RECONCILING and now.call is Call.NONE else None

        recorded = await self.jobs.record(job_id, decide)
        if recorded.event is not None:
            self.meter.ended(recorded.after)
        return recorded.after

    async def _resume(self, job_id: str) -> Job:
        def decide(now: Job) -> Resumed | None:
            if now.state is not State.RECONCILING or now.call is not Call.ACCEPTED:
                return None
            return Resumed(self.clock.now() + timedelta(milliseconds=now.spec.timeout_ms or 0))

        return (await self.jobs.record(job_id, decide)).after


def _demand_unknown(job: Job) -> None:
    if job.state is not State.RECONCILING or job.call is not Call.SUBMITTING:
        what = f"The job is {job.state.value.upper()}; what became of its paid call is known."
        raise PreconditionFailed(what, reason=RequestReason.NOT_RECONCILING, metadata={"job": f"jobs/{job.id}"})


def _while_unknown(body: Accepted | Released | Reconciling) -> Decide:
    def decide(now: Job) -> Body:
        _demand_unknown(now)
        return body

    return decide
