"""The spec of a job for a VideoRequest, and the choice of a model. Pure."""

from collections.abc import Sequence

from i2v.v1 import catalog_pb2, job_pb2

from services.reasons import HttpReason
from services.studio.refused_request import RefusedRequest
from services.studio.videos.video_request import VideoRequest


def choose(models: Sequence[catalog_pb2.Model], *, with_picture: bool) -> catalog_pb2.Model:
    """Returns the model of a request that names none: the cheapest local one that takes work, or the first.

    Raises:
        RefusedRequest: no model can do it.
    """
    operation = catalog_pb2.Model.IMAGE_TO_VIDEO if with_picture else catalog_pb2.Model.TEXT_TO_VIDEO
    able = [model for model in models if operation in model.operations]
    if not able:
        what = "moves a picture" if with_picture else "makes a video from a text alone"
        raise RefusedRequest(f"No model of this service {what}.", reason=HttpReason.MODEL_REQUIRED, param="model")

    def rank(model: catalog_pb2.Model) -> tuple[bool, bool, int, str]:
        return model.drained, model.HasField("remote"), model.price_per_second.amount_micros, model.name

    return min(able, key=rank)


def spec(wanted: VideoRequest, model: catalog_pb2.Model | None, picture: str) -> job_pb2.JobSpec:
    """Returns the spec.

    Args:
        wanted: The request.
        model: The card of its model; needed if the request names no model, or a size.
        picture: The first frame, `assets/{sha256}`; empty: there is none.
    """
    made = job_pb2.JobSpec(model=model.name.removeprefix("models/") if model else wanted.model)
    if picture:
        made.image_to_video.image, made.image_to_video.prompt = picture, wanted.prompt
    else:
        made.text_to_video.prompt = wanted.prompt
    if wanted.seconds is not None:
        made.duration.FromMilliseconds(round(wanted.seconds * 1000))
    if wanted.seed is not None:
        made.seed = wanted.seed
    if wanted.size and model and model.HasField("remote"):
        # A remote model has resolutions, named after the shorter side; the picture decides the shape.
        made.resolution = f"{min(wanted.size)}p"
    elif wanted.size:
        made.size.width, made.size.height = wanted.size
    return made
