"""Proto <-> domain, for messages that more than one service speaks. A malformed request is refused here, by field."""

import re
import uuid
from datetime import datetime, timedelta

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from i2v.v1 import asset_pb2, job_pb2

from services.errors import InvalidInput, InvalidSpec, Violation
from services.orchestrator.domain import event as events
from services.orchestrator.domain.asset import Asset
from services.orchestrator.domain.event import Event, JobError, VideoOutput
from services.orchestrator.domain.job import Job, State
from services.orchestrator.domain.media import VideoInfo
from services.orchestrator.domain.price import CURRENCY
from services.orchestrator.domain.spec import FAST, QUALITY, Fit, ImageToVideo, Operation, Size, Spec, TextToVideo

STATES = {
    State.QUEUED: job_pb2.Job.QUEUED,
    State.RUNNING: job_pb2.Job.RUNNING,
    State.CANCELLING: job_pb2.Job.CANCELLING,
    State.RECONCILING: job_pb2.Job.RECONCILING,
    State.SUCCEEDED: job_pb2.Job.SUCCEEDED,
    State.FAILED: job_pb2.Job.FAILED,
    State.CANCELLED: job_pb2.Job.CANCELLED,
}
FITS = {
    job_pb2.ImageToVideo.FIT_UNSPECIFIED: Fit.CROP,
    job_pb2.ImageToVideo.CROP: Fit.CROP,
    job_pb2.ImageToVideo.PAD: Fit.PAD,
}
QUALITIES = {
    job_pb2.JobSpec.QUALITY_UNSPECIFIED: None,
    job_pb2.JobSpec.QUALITY: QUALITY,
    job_pb2.JobSpec.FAST: FAST,
}
QUALITY_OF = {name: number for number, name in QUALITIES.items()}


def refuse(field: str, description: str, reason: str) -> InvalidInput:
    """Returns the refusal of one field."""
    return InvalidInput([Violation(field, description, reason)], reason=reason)


def resource_id(name: str, collection: str, *, field: str = "name") -> str:
    """Returns the id in `{collection}/{id}`. Raises InvalidInput when it is not such a name."""
    prefix, _, rest = name.partition("/")
    if prefix != collection or not re.fullmatch(r"[A-Za-z0-9._-]{1,128}", rest):
        raise refuse(field, f"is {name[:200]!r}; it looks like `{collection}/…`", "NAME_MALFORMED")
    return rest


def request_id(text: str) -> str:
    """Returns a request_id in its canonical spelling. Raises InvalidInput when it is not a UUID."""
    try:
        return str(uuid.UUID(text))
    except ValueError:
        what = "is missing" if not text else f"is {text[:80]!r}"
        raise refuse("request_id", f"{what}; give a new UUID for every new request", "REQUEST_ID_MALFORMED") from None


# --- domain from proto ----------------------------------------------------------------------------------------------


def spec_from_pb(spec: job_pb2.JobSpec) -> Spec:
    """Returns the spec. Raises InvalidSpec when it has no operation, or a duration or quality that is none."""
    if spec.quality not in QUALITIES:
        raise _invalid("spec.quality", f"is {spec.quality}; give QUALITY or FAST", "QUALITY_UNKNOWN")
    return Spec(
        model=spec.model,
        operation=_operation(spec),
        duration_ms=_milliseconds(spec.duration, "spec.duration") if spec.HasField("duration") else None,
        size=Size(spec.size.width, spec.size.height) if spec.HasField("size") else None,
        seed=spec.seed if spec.HasField("seed") else None,
        timeout_ms=_milliseconds(spec.timeout, "spec.timeout") if spec.HasField("timeout") else None,
        quality=QUALITIES[spec.quality],
    )


def _operation(spec: job_pb2.JobSpec) -> Operation:
    match spec.WhichOneof("operation"):
        case "image_to_video":
            asked = spec.image_to_video
            if asked.fit not in FITS:
                raise _invalid("spec.image_to_video.fit", f"is {asked.fit}; give CROP or PAD", "FIT_UNKNOWN")
            return ImageToVideo(asked.image.removeprefix("assets/"), asked.prompt, FITS[asked.fit])
        case "text_to_video":
            return TextToVideo(spec.text_to_video.prompt)
        case _:
            raise _invalid("spec.operation", "is missing; give image_to_video or text_to_video", "OPERATION_MISSING")


def _milliseconds(duration: Duration, field: str) -> int:
    if not -315_576_000_000 <= duration.seconds <= 315_576_000_000 or abs(duration.nanos) > 999_999_999:
        raise _invalid(field, "is not a valid duration", "DURATION_MALFORMED")
    return duration.seconds * 1000 + duration.nanos // 1_000_000


def _invalid(field: str, description: str, reason: str) -> InvalidSpec:
    return InvalidSpec([Violation(field, description, reason)], reason=reason)


# --- proto from domain ----------------------------------------------------------------------------------------------


def money(micros: int) -> job_pb2.Money:
    """Returns an amount."""
    return job_pb2.Money(amount_micros=micros, currency_code=CURRENCY)


def timestamp(time: datetime) -> Timestamp:
    """Returns a moment."""
    result = Timestamp()
    result.FromDatetime(time)
    return result


def duration(ms: int) -> Duration:
    """Returns a length of time."""
    result = Duration()
    result.FromTimedelta(timedelta(milliseconds=ms))
    return result


def size(given: Size) -> job_pb2.Size:
    """Returns a size."""
    return job_pb2.Size(width=given.width, height=given.height)


def spec_to_pb(spec: Spec) -> job_pb2.JobSpec:
    """Returns the spec; what is None stays unset."""
    result = job_pb2.JobSpec(model=spec.model)
    if isinstance(spec.operation, ImageToVideo):
        result.image_to_video.image = f"assets/{spec.operation.image}"
        result.image_to_video.prompt = spec.operation.prompt
        pad = spec.operation.fit is Fit.PAD
        result.image_to_video.fit = job_pb2.ImageToVideo.PAD if pad else job_pb2.ImageToVideo.CROP
    else:
        result.text_to_video.prompt = spec.operation.prompt
    if spec.duration_ms is not None:
        result.duration.CopyFrom(duration(spec.duration_ms))
    if spec.size is not None:
        result.size.CopyFrom(size(spec.size))
    if spec.seed is not None:
        result.seed = spec.seed
    if spec.timeout_ms is not None:
        result.timeout.CopyFrom(duration(spec.timeout_ms))
    result.quality = QUALITY_OF[spec.quality]
    return result


def job(given: Job) -> job_pb2.Job:
    """Returns a job."""
    result = job_pb2.Job(
        name=f"jobs/{given.id}",
        state=STATES[given.state],
        spec=spec_to_pb(given.spec),
        user=given.user,
        request_id=given.request_id,
        quote=money(given.quote_micros),
        progress=given.progress,
        stage=given.stage,
        attempt=given.attempt,
        last_sequence=given.last_sequence,
        create_time=timestamp(given.create_time),
        expire_time=timestamp(given.expire_time),
        resumes=f"jobs/{given.resumes}" if given.resumes else "",
    )
    if given.charged_micros is not None:
        result.charged.CopyFrom(money(given.charged_micros))
    if given.output is not None:
        result.output.CopyFrom(output(given.output))
    if given.error is not None:
        result.error.CopyFrom(error(given.error))
    if given.start_time is not None:
        result.start_time.CopyFrom(timestamp(given.start_time))
    if given.end_time is not None:
        result.end_time.CopyFrom(timestamp(given.end_time))
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


def asset(given: Asset) -> asset_pb2.Asset:
    """Returns what is known of an asset."""
    result = asset_pb2.Asset(
        name=f"assets/{given.sha256}",
        media_type=given.info.media_type,
        size_bytes=given.size_bytes,
        size=job_pb2.Size(width=given.info.width, height=given.info.height),
        create_time=timestamp(given.create_time),
    )
    if isinstance(given.info, VideoInfo):
        result.frames = given.info.frames
        result.duration.CopyFrom(duration(round(given.info.duration_s * 1000)))
    return result
