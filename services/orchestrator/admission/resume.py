"""Resuming: if a job failed although a vendor was paid for it, a new job fetches the video, free of charge.

It is a job of its own, because no event follows the end of a job. It shares the paid call of the failed job, so it can
neither submit a task nor be charged.
"""

from datetime import timedelta

from services.errors import PreconditionFailed
from services.orchestrator.domain.caller import Caller
from services.orchestrator.domain.job import Job, State
from services.orchestrator.domain.paid_call import Call
from services.orchestrator.ports.admissions import Admissions
from services.orchestrator.ports.clock_and_ids import Clock, Ids
from services.orchestrator.ports.jobs import Jobs
from services.orchestrator.ports.meter import Meter
from services.orchestrator.ports.paid_calls import PaidCalls
from services.reasons import RequestReason
from services.tracing import spans


async def resume(
    job_id: str,
    caller: Caller,
    *,
    request_id: str,
    admissions: Admissions,
    jobs: Jobs,
    paid_calls: PaidCalls,
    clock: Clock,
    ids: Ids,
    meter: Meter,
) -> Job:
    """Admits a job that attaches to another's paid work, and returns it QUEUED; or the one that is running already.

    Raises:
        NotFound: no such job of this user.
        PreconditionFailed: it has no paid work that could still bring a video.
        QuotaExceeded: a limit of unfinished or queued jobs.
        RequestIdReused: the same request_id came with something else.
    """
    failed = await jobs.get(job_id, tenant=caller.tenant, user=caller.user)
    call = await paid_calls.of_job(failed)
    resumable = failed.state is State.FAILED and failed.error is not None and failed.error.resumable
    if not resumable or call is None or not call.external_ref:
        what = "Nothing was paid for this job that could still bring its video. Submit it again."
        raise PreconditionFailed(what, reason=RequestReason.NOT_RESUMABLE, metadata={"job": f"jobs/{job_id}"})
    now, root = clock.now(), failed.resumes or failed.id
    job = Job(
        id=ids.job_id(),
        tenant=caller.tenant,
        user=caller.user,
        key=caller.key,
        request_id=request_id,
        spec=failed.spec,
        capability=failed.capability,
        quote_micros=0,
        price_micros=0,
        create_time=now,
        expire_time=now + timedelta(milliseconds=failed.spec.timeout_ms or 0),
        resumes=root,
        call=Call.ACCEPTED,
        written=failed.written,
        trace_context=spans.text_of_current(),
    )
    admitted = await admissions.admit(job, f"resume:{root}", caller, call.provider)
    if admitted.id == job.id:
        meter.admitted(admitted)
    return admitted
