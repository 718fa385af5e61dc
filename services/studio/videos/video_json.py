"""A job as a video of OpenAI's Videos API. Pure."""

from typing import Any

from i2v.v1 import job_pb2

PREFIX = "video_"
STATUSES = {
    job_pb2.Job.QUEUED: "queued",
    job_pb2.Job.SUCCEEDED: "completed",
    job_pb2.Job.FAILED: "failed",
    job_pb2.Job.CANCELLED: "failed",
}
"""Any other state is `in_progress`. The shape has no status of its own for a video that was stopped on request."""
REMIXED = "remixed_from_video_id"
"""Where the library's custom metadata of a video name the one that it was remixed from."""


def job_name(video_id: str) -> str:
    """Returns the job of a video's id, `jobs/{id}`. An id that has another form is passed on, and no job has it."""
    return f"jobs/{video_id.removeprefix(PREFIX)}"


def video_id(name: str) -> str:
    """Returns the id of the video of a job, `jobs/{id}`."""
    return PREFIX + name.removeprefix("jobs/")


def video(job: job_pb2.Job) -> dict[str, Any]:
    """Returns the video of a job."""
    ended = job.HasField("end_time")
    remixed = job.spec.details.custom_metadata.fields.get(REMIXED)
    return {
        "id": video_id(job.name),
        "object": "video",
        "model": job.spec.model,
        "status": STATUSES.get(job.state, "in_progress"),
        "progress": 100 if job.state == job_pb2.Job.SUCCEEDED else min(99, int(job.progress * 100)),
        "prompt": prompt(job),
        "seconds": _seconds(job),
        "size": _size(job),
        "created_at": job.create_time.seconds,
        "completed_at": job.end_time.seconds if ended else None,
        "expires_at": None,
        "remixed_from_video_id": remixed.string_value if remixed else None,
        "error": _error(job),
        "seed": job.spec.seed if job.spec.HasField("seed") else None,
        "cost": _money(job.charged if ended else job.quote),
    }


def prompt(job: job_pb2.Job) -> str:
    """Returns the prompt of a job: the one that its model has, or the one of its spec."""
    operation = job.spec.WhichOneof("operation")
    of_spec = getattr(getattr(job.spec, operation), "prompt", "") if operation else ""
    return job.prompt or of_spec


def _seconds(job: job_pb2.Job) -> str:
    """Returns what was asked for: a video may have one frame more. A talking avatar is as long as its sound."""
    length = job.spec.duration if job.spec.HasField("duration") else job.output.duration
    seconds = length.ToMilliseconds() / 1000
    return str(int(seconds)) if seconds == int(seconds) else str(seconds)


def _size(job: job_pb2.Job) -> str:
    size = job.output.size if job.HasField("output") else job.spec.size
    return f"{size.width}x{size.height}" if size.width else job.spec.resolution


def _error(job: job_pb2.Job) -> dict[str, str] | None:
    if job.state == job_pb2.Job.CANCELLED:
        return {"code": "cancelled", "message": "The video was stopped on request."}
    if job.state == job_pb2.Job.FAILED:
        return {"code": job.error.reason, "message": job.error.message}
    return None


def _money(money: job_pb2.Money) -> dict[str, Any]:
    return {"amount_micros": money.amount_micros, "currency": money.currency_code}
