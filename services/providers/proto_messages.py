"""Proto to plain values and back. No decisions."""

import math

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from i2v.provider.v1 import provider_pb2 as pb

from services.providers.task import Input, Role, Task
from services.providers.task_inputs import SHA256, Announced, wrong
from services.providers.vendor import Charge, Facts, Failed

ROLES = {pb.Input.IMAGE: Role.IMAGE, pb.Input.AUDIO: Role.AUDIO, pb.Input.MASK: Role.MASK}
CHARGES = {
    Charge.NOT_CHARGED: pb.Failed.NOT_CHARGED,
    Charge.UNKNOWN: pb.Failed.UNKNOWN,
    Charge.CHARGED: pb.Failed.CHARGED,
}
ID_CHARACTERS = 128


def announced(task: pb.Task) -> list[Announced]:
    """Returns the inputs that a header announces. Raises InvalidInput."""
    found: list[Announced] = []
    for each in task.inputs:
        role = ROLES.get(each.role)
        if role is None or role in {other.role for other in found}:
            raise wrong("task.inputs", "have a role that is unknown, or given twice")
        if not SHA256.fullmatch(each.sha256):
            raise wrong("task.inputs.sha256", "is not 64 hexadecimal digits")
        found.append(Announced(role, each.media_type, each.size_bytes, each.sha256))
    return found


def task_of(header: pb.Task, inputs: dict[Role, Input]) -> Task:
    """Returns the task of a header. Raises InvalidInput."""
    if not 1 <= len(header.submission_id) <= ID_CHARACTERS or not header.submission_id.isprintable():
        raise wrong("task.submission_id", f"is not 1 to {ID_CHARACTERS} printable characters")
    if header.HasField("guidance_scale") and not math.isfinite(header.guidance_scale):
        raise wrong("task.guidance_scale", "is no number")
    given = {
        name: getattr(header, name)
        for name in ("negative_prompt", "duration_s", "resolution", "seed", "guidance_scale", "prompt_expansion")
        if header.HasField(name)
    }
    return Task(submission_id=header.submission_id, model=header.model, prompt=header.prompt, inputs=inputs, **given)


def accepted(ref: str) -> pb.TaskEvent:
    """Returns Accepted."""
    return pb.TaskEvent(accepted=pb.Accepted(external_ref=ref))


def progress(stage: str, elapsed_s: float, fraction: float | None = None) -> pb.TaskEvent:
    """Returns Progress."""
    return pb.TaskEvent(progress=pb.Progress(stage=stage, fraction=fraction, elapsed=_duration(elapsed_s)))


def output(data: bytes) -> pb.TaskEvent:
    """Returns Output."""
    return pb.TaskEvent(output=pb.Output(data=data))


def done(size_bytes: int, sha256: str, facts: Facts) -> pb.TaskEvent:
    """Returns Done."""
    message = pb.VendorFacts(model=facts.model, nsfw=facts.nsfw, promised=facts.promised)
    if facts.create_time is not None:
        message.create_time.FromDatetime(facts.create_time)
    if facts.inference_s is not None:
        message.inference.CopyFrom(_duration(facts.inference_s))
    return pb.TaskEvent(done=pb.Done(size_bytes=size_bytes, sha256=sha256, facts=message))


def failed(failure: Failed) -> pb.TaskEvent:
    """Returns Failed."""
    message = pb.Failed(
        reason=failure.reason,
        message=failure.message,
        charge=CHARGES[failure.charge],
        retryable=failure.retryable,
        resumable=failure.resumable,
    )
    if failure.retry_delay_s is not None:
        message.retry_delay.CopyFrom(_duration(failure.retry_delay_s))
    return pb.TaskEvent(failed=message)


def unknown(refund_window_s: float | None) -> pb.FindResponse:
    """Returns that a task was not found, with what the vendor promises then."""
    window = None if refund_window_s is None else _duration(refund_window_s)
    return pb.FindResponse(outcome=pb.FindResponse.UNKNOWN, refund_window=window)


def time(seconds: float) -> Timestamp:
    """Returns a Timestamp of seconds since 1970."""
    stamp = Timestamp()
    stamp.FromMilliseconds(round(seconds * 1000))
    return stamp


def _duration(seconds: float) -> Duration:
    duration = Duration()
    duration.FromMilliseconds(max(0, round(seconds * 1000)))
    return duration
