"""The outcome of an attempt: what the end of its work, or the stop of it, means for the job.

An outcome decides under the lock of the job's row, by what the job is then.
"""

import asyncio
import logging
from datetime import timedelta

from services.errors import InvalidInput, ServiceError, Unavailable
from services.orchestrator.attempt.state import AttemptState
from services.orchestrator.domain import job as jobs
from services.orchestrator.domain.event import JobError, VideoOutput
from services.orchestrator.domain.job import State, Superseded
from services.orchestrator.domain.paid_call import Charge
from services.orchestrator.ports.backend import AttemptFailed
from services.orchestrator.ports.clock_and_ids import Clock
from services.orchestrator.ports.jobs import Decide
from services.orchestrator.ports.paid_backend import TaskFailed
from services.orchestrator.ports.prompt_writer import ModelDown
from services.resource_shortage import shortage

EARLY = timedelta(seconds=0.5)
"""By how much a timer may ring before the clock says so."""

log = logging.getLogger(__name__)


def decided(
    run: AttemptState, work: asyncio.Task[VideoOutput], stop: asyncio.Task[State], clock: Clock
) -> Decide | None:
    """Decides what the attempt came to; None when it is not this attempt's to say."""
    job = run.job
    if not work.cancelled():
        return _worked(run, work, clock)
    if stop.done():
        if stop.result() is not State.CANCELLING:
            return None
        return lambda now: jobs.stopped(now, run.partial_charge())
    if clock.now() + EARLY < job.expire_time:
        return _failing("INTERNAL", "The backend gave up by itself; it has been logged.")
    return _failing("DEADLINE_EXCEEDED", f"The job did not end by {job.expire_time:%H:%M:%S} UTC.")


def _worked(run: AttemptState, work: asyncio.Task[VideoOutput], clock: Clock) -> Decide | None:
    try:
        output = work.result()
        return lambda now: jobs.succeed(now, output)
    except Superseded:
        return None
    except AttemptFailed as failure:
        return _refused(run, failure, clock)
    except Unavailable as trouble:
        return _later(trouble, clock)
    except ServiceError as trouble:
        if trouble.reason == jobs.TAKEN.reason:
            return jobs.taken
        resumable = not isinstance(trouble, InvalidInput)  # what is no video will not become one
        error = JobError(trouble.reason, trouble.message, retryable=False, resumable=resumable)
        return lambda now: jobs.fail(now, error)
    except Exception as error:
        if (lacking := shortage(error)) is not None:
            log.warning("the attempt lacked resources", extra={"reason": lacking.reason, "error": repr(error)})
            return _later(lacking, clock)
        # The boundary of the attempt: a fault of ours must not leave a job, or its reservation, hanging.
        log.exception("the attempt broke")
        return _failing("INTERNAL", "The service failed to make this video; it has been logged.")


def _later(trouble: Unavailable, clock: Clock) -> Decide:
    """The outcome of a temporary error: another attempt later."""
    error = JobError(trouble.reason, trouble.message, retryable=True)
    wait_s = trouble.retry_after_s if isinstance(trouble, ModelDown) else 0.0
    return lambda now: jobs.again(clock.now(), now, error, wait_s=wait_s)


def _refused(run: AttemptState, failure: AttemptFailed, clock: Clock) -> Decide:
    """What a backend's refusal comes to; of a task of paid work, what is known of the money decides."""
    error, charge = failure.error, failure.charge if isinstance(failure, TaskFailed) else None
    if charge is Charge.CHARGED:
        return lambda now: jobs.charge(now, error)
    worn = run.external_ref != "" and run.job.attempt >= jobs.TASKS
    if isinstance(failure, TaskFailed) and charge is Charge.NOT_CHARGED and error.retryable and not worn:
        return lambda now: jobs.again(clock.now(), now, error, wait_s=failure.wait_s)
    if charge is Charge.UNKNOWN and run.external_ref and not error.resumable:
        # The job pays for it. Should the vendor not have charged it, a person can give that back.
        told = {"job_id": run.job.id, "model": run.job.spec.model, "reason": error.reason}
        log.error("a task came to nothing, and nobody knows whether the vendor charged it", extra=told)
    return lambda now: jobs.fail(now, error, spent_micros=failure.spent_micros)


def trouble(work: asyncio.Task[VideoOutput]) -> JobError | None:
    """Returns what kept a backend from making the video, where that is its own trouble and certainly free."""
    match work.exception():
        case TaskFailed(charge=Charge.NOT_CHARGED, error=error):
            return error
        case TaskFailed():
            return None
        case AttemptFailed(error=error):
            return error
        case Unavailable() as away:
            return JobError(away.reason, away.message, retryable=True)
    return None


def _failing(reason: str, message: str) -> Decide:
    error = JobError(reason, message, retryable=True, resumable=True)
    return lambda now: jobs.fail(now, error)
