"""Proto from domain: a job, and everything that happened to it."""

from i2v.v1 import job_pb2

from services.orchestrator.api import spec_messages
from services.orchestrator.api.proto_values import duration, money, size, timestamp
from services.orchestrator.domain import event as events
from services.orchestrator.domain.event import Event, JobError, VideoOutput
from services.orchestrator.domain.job import Job, State
from services.orchestrator.domain.queue_forecast import Expectation

STATES = {
    State.QUEUED: job_pb2.Job.QUEUED,
    State.RUNNING: job_pb2.Job.RUNNING,
    State.CANCELLING: job_pb2.Job.CANCELLING,
    State.RECONCILING: job_pb2.Job.RECONCILING,
    State.SUCCEEDED: job_pb2.Job.SUCCEEDED,
    State.FAILED: job_pb2.Job.FAILED,
    State.CANCELLED: job_pb2.Job.CANCELLED,
}


def job(given: Job, expected: Expectation | None = None) -> job_pb2.Job:
    """Returns a job, with what is expected of it if that was looked up."""
    result = job_pb2.Job(
        name=f"jobs/{given.id}",
        state=STATES[given.state],
        spec=spec_messages.to_pb(given.spec),
        user=given.user,
        request_id=given.request_id,
        quote=money(given.quote_micros),
        progress=given.progress,
        stage=given.stage,
        attempt=given.attempt,
        last_sequence=given.last_sequence,
        create_time=timestamp(given.create_time),
        expire_time=timestamp(given.expire_time),
        prompt=given.prompt,
        resumes=f"jobs/{given.resumes}" if given.resumes else "",
    )
    if given.charged_micros is not None:
        result.charged.CopyFrom(money(given.charged_micros))
    if given.refunded_micros:
        result.refunded.CopyFrom(money(given.refunded_micros))
    if given.output is not None:
        result.output.CopyFrom(output(given.output))
    if given.error is not None:
        result.error.CopyFrom(error(given.error))
    if given.start_time is not None:
        result.start_time.CopyFrom(timestamp(given.start_time))
    if given.end_time is not None:
        result.end_time.CopyFrom(timestamp(given.end_time))
    if given.delete_time is not None:
        result.delete_time.CopyFrom(timestamp(given.delete_time))
    if expected is not None:
        expect(result, given.state, expected)
    return result


def expect(result: job_pb2.Job, state: State, expected: Expectation) -> None:
    """Adds to a job what is expected of it."""
    if state is State.QUEUED:
        # One that has a slot is about to start, or waits there for a retry.
        result.queue_place = max(1, expected.place)
        if expected.start_time is not None:
            result.expected_start_time.CopyFrom(timestamp(expected.start_time))
    if state in (State.QUEUED, State.RUNNING) and expected.end_time is not None:
        result.expected_end_time.CopyFrom(timestamp(expected.end_time))


def heartbeat(expected: Expectation | None) -> job_pb2.Heartbeat:
    """Returns a sign of life, with what is expected of a job that waits."""
    result = job_pb2.Heartbeat()
    if expected is not None:
        result.queue_place = max(1, expected.place)
        if expected.start_time is not None:
            result.expected_start_time.CopyFrom(timestamp(expected.start_time))
        if expected.end_time is not None:
            result.expected_end_time.CopyFrom(timestamp(expected.end_time))
    return result


def output(given: VideoOutput) -> job_pb2.VideoOutput:
    """Returns a job's video."""
    return job_pb2.VideoOutput(
        asset=f"assets/{given.asset}",
        size=size(given.size),
        frames=given.frames,
        fps=given.fps,
        duration=duration(given.duration_ms),
        size_bytes=given.size_bytes,
    )


def error(given: JobError) -> job_pb2.JobError:
    """Returns why a job failed."""
    return job_pb2.JobError(
        reason=given.reason, message=given.message, retryable=given.retryable, resumable=given.resumable
    )


def event(given: Event) -> job_pb2.JobEvent:
    """Returns an event."""
    result = job_pb2.JobEvent(sequence=given.sequence, create_time=timestamp(given.time))
    match given.body:
        case events.Admitted(quote_micros=quote):
            result.admitted.quote.CopyFrom(money(quote))
        case events.Started(attempt=attempt):
            result.started.attempt = attempt
        case events.Continued(block=block, progress=progress):
            result.continued.block, result.continued.progress = block, progress
        case events.Progressed(stage=stage, progress=progress):
            result.progressed.stage, result.progressed.progress = stage, progress
        case events.FragmentReady() as ready:
            result.fragment_ready.CopyFrom(
                job_pb2.FragmentReady(
                    index=ready.index,
                    asset=f"assets/{ready.asset}",
                    frames=ready.frames,
                    size_bytes=ready.size_bytes,
                    progress=ready.progress,
                )
            )
        case events.PromptWritten() as written:
            result.prompt_written.CopyFrom(
                job_pb2.PromptWritten(
                    prompt=written.prompt,
                    negative_prompt=written.negative_prompt,
                    source=written.source,
                    llm=written.llm,
                    cost=money(written.cost_micros),
                    warning=written.warning,
                )
            )
        case events.Rerouted() as moved:
            result.rerouted.CopyFrom(
                job_pb2.Rerouted(
                    model=moved.model, before=moved.before, error=error(moved.error), price=money(moved.price_micros)
                )
            )
        case events.Warned(reason=reason, message=message):
            result.warned.reason, result.warned.message = reason, message
        case events.Submitting(provider=provider):
            result.submitting.provider = provider
        case events.Accepted(provider=provider):
            result.accepted.provider = provider
        case events.Released(provider=provider, reason=reason):
            result.released.provider, result.released.reason = provider, reason
        case events.Reconciling(error=why):
            result.reconciling.error.CopyFrom(error(why))
        case events.Resumed(expire_time=expires):
            result.resumed.expire_time.CopyFrom(timestamp(expires))
        case events.CancelRequested():
            result.cancel_requested.SetInParent()
        case events.Retrying(error=why, retry_time=at):
            result.retrying.CopyFrom(job_pb2.Retrying(error=error(why), retry_time=timestamp(at)))
        case events.Succeeded(output=made, charged_micros=charged):
            result.succeeded.CopyFrom(job_pb2.Succeeded(output=output(made), charged=money(charged)))
        case events.Failed(error=why, charged_micros=charged):
            result.failed.CopyFrom(job_pb2.Failed(error=error(why), charged=money(charged)))
        case events.Cancelled(charged_micros=charged):
            result.cancelled.charged.CopyFrom(money(charged))
    return result
