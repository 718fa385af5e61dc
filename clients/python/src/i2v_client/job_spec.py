"""Specs of jobs."""

from google.protobuf.duration_pb2 import Duration
from i2v.v1 import job_pb2


def job_spec(
    prompt: str,
    *,
    image: str = "",
    model: str = "nano",
    duration_s: float | None = None,
    size: tuple[int, int] | None = None,
    seed: int | None = None,
    fit: "job_pb2.ImageToVideo.Fit.ValueType" = job_pb2.ImageToVideo.FIT_UNSPECIFIED,
    quality: "job_pb2.JobSpec.Quality.ValueType" = job_pb2.JobSpec.QUALITY_UNSPECIFIED,
) -> job_pb2.JobSpec:
    """Returns a spec: image-to-video when `image` names an asset, else text-to-video."""
    spec = job_pb2.JobSpec(model=model, seed=seed, quality=quality)
    if image:
        spec.image_to_video.CopyFrom(job_pb2.ImageToVideo(image=image, prompt=prompt, fit=fit))
    else:
        spec.text_to_video.prompt = prompt
    if duration_s is not None:
        duration = Duration()
        duration.FromMilliseconds(round(duration_s * 1000))
        spec.duration.CopyFrom(duration)
    if size is not None:
        spec.size.CopyFrom(job_pb2.Size(width=size[0], height=size[1]))
    return spec
