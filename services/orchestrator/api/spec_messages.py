"""Proto <-> domain for specs. What cannot be a spec at all is refused here; what a model makes is the card's matter."""

from collections.abc import Callable, Mapping
from typing import TypeVar

from i2v.v1 import job_pb2

from services.errors import InvalidInput, InvalidSpec, Violation
from services.orchestrator.admission.preview import RequestedSpec
from services.orchestrator.api import library_messages
from services.orchestrator.api.proto_values import duration, invalid, milliseconds, money, size
from services.orchestrator.domain import library_details
from services.orchestrator.domain.library_details import Details
from services.orchestrator.domain.price import CURRENCY
from services.orchestrator.domain.spec import (
    FAST,
    QUALITY,
    Fit,
    ImageToVideo,
    Operation,
    Scene,
    SceneAnimation,
    Size,
    Spec,
    TalkingAvatar,
    TextToVideo,
)
from services.reasons import SpecReason

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
Part = TypeVar("Part")
QUALITY_OF = {name: number for number, name in QUALITIES.items()}


def from_pb(spec: job_pb2.JobSpec) -> Spec:
    """Returns the spec. Raises InvalidSpec, with every violation, when it cannot be one."""
    found = requested(spec)
    if found.spec is None or found.wrong:
        raise InvalidSpec(found.wrong, reason=found.wrong[0].reason)
    return found.spec


def requested(spec: job_pb2.JobSpec) -> RequestedSpec:
    """Returns what can be read of a spec, and everything that cannot: an enum's unknown value, a malformed amount."""
    wrong: list[Violation] = []
    operation = _read(_operation, spec, wrong)
    _read(_check_fit, spec, wrong)
    quality, price = _read(_quality, spec, wrong), _read(_price, spec, wrong)
    duration_ms, timeout_ms = _read(_duration, spec, wrong), _read(_timeout, spec, wrong)
    if operation is None:
        return RequestedSpec(None, tuple(wrong))
    read = Spec(
        model=spec.model,
        operation=operation,
        duration_ms=duration_ms,
        size=Size(spec.size.width, spec.size.height) if spec.HasField("size") else None,
        seed=spec.seed if spec.HasField("seed") else None,
        timeout_ms=timeout_ms,
        quality=quality,
        resolution=spec.resolution or None,
        capability=spec.capability or None,
        price_most_micros=price,
        start_timeout_ms=_read(_start_timeout, spec, wrong),
        details=_read(_details, spec, wrong),
    )
    return RequestedSpec(read, tuple(wrong))


def _read(reader: Callable[[job_pb2.JobSpec], Part], spec: job_pb2.JobSpec, wrong: list[Violation]) -> Part | None:
    """Returns a part of a spec; None, and adds what is wrong, if it cannot be read."""
    try:
        return reader(spec)
    except InvalidInput as error:
        wrong += error.violations
        return None


def _quality(spec: job_pb2.JobSpec) -> str | None:
    if spec.quality not in QUALITIES:
        raise invalid("spec.quality", f"is {spec.quality}; give QUALITY or FAST", SpecReason.QUALITY_UNKNOWN)
    return QUALITIES[spec.quality]


def _duration(spec: job_pb2.JobSpec) -> int | None:
    return milliseconds(spec.duration, "spec.duration") if spec.HasField("duration") else None


def _timeout(spec: job_pb2.JobSpec) -> int | None:
    return milliseconds(spec.timeout, "spec.timeout") if spec.HasField("timeout") else None


def _start_timeout(spec: job_pb2.JobSpec) -> int | None:
    return milliseconds(spec.start_timeout, "spec.start_timeout") if spec.HasField("start_timeout") else None


def _details(spec: job_pb2.JobSpec) -> Details | None:
    if not spec.HasField("details"):
        return None
    given = library_messages.details(spec.details)
    if wrong := list(library_details.problems(given, "spec.details")):
        raise InvalidSpec(wrong, reason=wrong[0].reason)
    return given


def _price(spec: job_pb2.JobSpec) -> int | None:
    if not spec.HasField("price_max"):
        return None
    if spec.price_max.currency_code not in ("", CURRENCY) or spec.price_max.amount_micros < 0:
        raise invalid("spec.price_max", f"is no amount of {CURRENCY}, 0 or more", SpecReason.PRICE_MALFORMED)
    return spec.price_max.amount_micros


def _operation(spec: job_pb2.JobSpec) -> Operation:
    match spec.WhichOneof("operation"):
        case "image_to_video":
            return _image_to_video(spec.image_to_video)
        case "text_to_video":
            return TextToVideo(spec.text_to_video.prompt)
        case "scene_animation":
            scene = spec.scene_animation
            return SceneAnimation(
                image=_digest(scene.image),
                scene=_scene(scene.scene, scene.story, scene.details),
                negative_prompt=scene.negative_prompt if scene.HasField("negative_prompt") else None,
                guidance_scale=scene.guidance_scale if scene.HasField("guidance_scale") else None,
            )
        case "talking_avatar":
            avatar = spec.talking_avatar
            return TalkingAvatar(
                image=_digest(avatar.image),
                audio=_digest(avatar.audio),
                mask=_digest(avatar.mask),
                prompt=avatar.prompt,
                scene=_scene(avatar.scene, avatar.story, avatar.details),
            )
        case _:
            what = "is missing; give image_to_video, text_to_video, scene_animation or talking_avatar"
            raise invalid("spec.operation", what, SpecReason.OPERATION_MISSING)


def _check_fit(spec: job_pb2.JobSpec) -> None:
    if (fit := spec.image_to_video.fit) not in FITS:
        raise invalid("spec.image_to_video.fit", f"is {fit}; give CROP or PAD", SpecReason.FIT_UNKNOWN)


def _image_to_video(given: job_pb2.ImageToVideo) -> ImageToVideo:
    return ImageToVideo(
        image=_digest(given.image),
        prompt=given.prompt,
        fit=FITS.get(given.fit, Fit.CROP),
        audio=_digest(given.audio),
        negative_prompt=given.negative_prompt if given.HasField("negative_prompt") else None,
        prompt_expansion=given.prompt_expansion if given.HasField("prompt_expansion") else None,
        guidance_scale=given.guidance_scale if given.HasField("guidance_scale") else None,
    )


def _digest(name: str) -> str:
    return name.removeprefix("assets/")


def _scene(scene: str, story: str, details: Mapping[str, str]) -> Scene:
    return Scene(scene, story, tuple(sorted(details.items())))


def to_pb(spec: Spec) -> job_pb2.JobSpec:
    """Returns the spec; what is None stays unset."""
    result = job_pb2.JobSpec(
        model=spec.model,
        seed=spec.seed,
        quality=QUALITY_OF[spec.quality],
        resolution=spec.resolution or "",
        capability=spec.capability or "",
    )
    if spec.price_most_micros is not None:
        result.price_max.CopyFrom(money(spec.price_most_micros))
    match spec.operation:
        case ImageToVideo() as moves:
            result.image_to_video.CopyFrom(
                job_pb2.ImageToVideo(
                    image=f"assets/{moves.image}",
                    prompt=moves.prompt,
                    fit=job_pb2.ImageToVideo.PAD if moves.fit is Fit.PAD else job_pb2.ImageToVideo.CROP,
                    audio=f"assets/{moves.audio}" if moves.audio else "",
                    negative_prompt=moves.negative_prompt,
                    prompt_expansion=moves.prompt_expansion,
                    guidance_scale=moves.guidance_scale,
                )
            )
        case TextToVideo(prompt=prompt):
            result.text_to_video.prompt = prompt
        case SceneAnimation() as moves:
            result.scene_animation.CopyFrom(
                job_pb2.SceneAnimation(
                    image=f"assets/{moves.image}",
                    scene=moves.scene.scene,
                    story=moves.scene.story,
                    details=dict(moves.scene.details),
                    negative_prompt=moves.negative_prompt,
                    guidance_scale=moves.guidance_scale,
                )
            )
        case TalkingAvatar() as speaks:
            result.talking_avatar.CopyFrom(
                job_pb2.TalkingAvatar(
                    image=f"assets/{speaks.image}",
                    audio=f"assets/{speaks.audio}",
                    mask=f"assets/{speaks.mask}" if speaks.mask else "",
                    prompt=speaks.prompt,
                    scene=speaks.scene.scene,
                    story=speaks.scene.story,
                    details=dict(speaks.scene.details),
                )
            )
    if spec.duration_ms is not None:
        result.duration.CopyFrom(duration(spec.duration_ms))
    if spec.size is not None:
        result.size.CopyFrom(size(spec.size))
    if spec.timeout_ms is not None:
        result.timeout.CopyFrom(duration(spec.timeout_ms))
    if spec.start_timeout_ms is not None:
        result.start_timeout.CopyFrom(duration(spec.start_timeout_ms))
    if spec.details is not None:
        result.details.CopyFrom(library_messages.details_message(spec.details))
    return result
