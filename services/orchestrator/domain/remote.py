"""What a remote model takes, what it costs and how long it will be there: the part of a card that is about a vendor.

A parameter that a model does not have is refused, never dropped: the caller would pay for something else.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date

from services.blank_text import is_blank
from services.errors import Violation
from services.orchestrator.domain.asset import Asset
from services.orchestrator.domain.forbidden_characters import fault
from services.orchestrator.domain.media_info import AudioInfo, PictureInfo
from services.orchestrator.domain.spec import Fit, ImageToVideo, Operation, SceneAnimation, Spec, TalkingAvatar
from services.reasons import AssetReason, SpecReason

PARAMETERS = ("audio", "mask", "negative-prompt", "prompt-expansion", "guidance-scale", "seed")
"""What a remote model may take in addition to a picture and a prompt."""
ANY = "any"
"""The price of a model that has no resolutions."""
SCENE_MOST, STORY_MOST, DETAILS_MOST, KEY_MOST, VALUE_MOST = 4000, 8000, 16, 64, 512
"""Characters, and entries, of what a prompt is written from."""


@dataclass(frozen=True, slots=True)
class Tariff:
    """What one resolution costs."""

    per_second_micros: int = 0
    per_run_micros: int = 0

    def price(self, seconds: int) -> int:
        """Returns the price of so many billed seconds in micros."""
        return self.per_run_micros + seconds * self.per_second_micros


@dataclass(frozen=True, slots=True)
class Remote:
    """One model of a vendor."""

    model: str
    """The provider's name of the model."""
    capability: str
    """The class of interchangeable models, such as `wan-2.5`."""
    prices: Mapping[str, Tariff]
    """By resolution, or `any`."""
    price_as_of: date
    """The day of the last check of the vendor's price."""
    resolutions: tuple[str, ...] = ()
    """The default first; empty: the model has no choice."""
    takes: frozenset[str] = field(default_factory=frozenset)
    """Which of PARAMETERS it has."""
    prompt_optional: bool = False
    prompt_min_characters: int = 1
    written_prompt_max_characters: int | None = None
    """Of a prompt that is written from a scene; None: as of any other."""
    negative_prompt_max_characters: int = 0
    seed_max: int = 2**31 - 1
    picture_max_bytes: int = 10_000_000
    picture_side_px: tuple[int, int] = (1, 8192)
    """The shortest and the longest side that it takes."""
    picture_aspect_max: float = 4.0
    """The longer side over the shorter."""
    audio_s: tuple[float, float] = (0.0, 0.0)
    """The shortest and the longest sound."""
    audio_max_bytes: int = 0
    audio_types: tuple[str, ...] = ()
    billed_s: tuple[int, int] = (0, 3600)
    """Seconds that are billed at least, and at most; a started one counts whole."""
    timeout_per_second_s: int = 0
    """What each second of video adds to the default timeout."""
    deprecate_date: date | None = None
    retire_date: date | None = None
    """From this day on it takes no work."""
    successor: str = ""

    def price(self, resolution: str | None, duration_ms: int) -> int:
        """Returns the price of a video in micros."""
        least, most = self.billed_s
        seconds = min(most, max(least, -(-duration_ms // 1000)))
        return self.prices[resolution or ANY].price(seconds)

    def check(self, name: str, spec: Spec) -> Iterator[Violation]:
        """Yields what is wrong with a spec for this model, but for what every card checks and for its assets."""
        operation = spec.operation
        at = "spec." + operation.kind.replace("-", "_")
        for field_name, parameter, value in _given(spec, at):
            if value is not None and parameter not in self.takes:
                yield Violation(
                    field_name, f"{name!r} has no {parameter}; leave it out", SpecReason.PARAMETER_UNSUPPORTED
                )
        if spec.size is not None:
            what = f"{name!r} makes no exact sizes; give spec.resolution, or leave it to the model"
            yield Violation("spec.size", what, SpecReason.PARAMETER_UNSUPPORTED)
        if isinstance(operation, ImageToVideo) and operation.fit is not Fit.CROP:
            yield Violation(
                f"{at}.fit", f"{name!r} fits pictures by itself; leave it out", SpecReason.PARAMETER_UNSUPPORTED
            )
        if spec.resolution is not None and spec.resolution not in self.resolutions:
            offered = ", ".join(self.resolutions) or "no choice of it"
            what = f"is {spec.resolution[:40]!r}; {name!r} has {offered}"
            yield Violation("spec.resolution", what, SpecReason.RESOLUTION_UNSUPPORTED)
        negative = spec.negative_prompt
        if negative is not None and len(negative) > self.negative_prompt_max_characters:
            what = f"has {len(negative)} characters; {name!r} takes at most {self.negative_prompt_max_characters}"
            yield Violation(f"{at}.negative_prompt", what, SpecReason.PROMPT_TOO_LONG)
        guidance = operation.guidance_scale if isinstance(operation, ImageToVideo | SceneAnimation) else None
        if guidance is not None and not 0 <= guidance <= 1:
            yield Violation(
                f"{at}.guidance_scale", f"is {guidance:g}; 0 to 1 are allowed", SpecReason.GUIDANCE_OUT_OF_RANGE
            )
        if spec.seed is not None and "seed" in self.takes and spec.seed > self.seed_max:
            what = f"is {spec.seed}; a seed of {name!r} is 0 to {self.seed_max}"
            yield Violation("spec.seed", what, SpecReason.SEED_OUT_OF_RANGE)
        if isinstance(operation, TalkingAvatar) and spec.duration_ms is not None:
            yield Violation("spec.duration", "is decided by the audio; leave it out", SpecReason.PARAMETER_UNSUPPORTED)

    def check_assets(self, name: str, operation: Operation, assets: Mapping[str, Asset]) -> Iterator[Violation]:
        """Yields what is wrong with the assets of a spec, by role: `image`, `audio`, `mask`."""
        at = "spec." + operation.kind.replace("-", "_")
        if (image := assets.get("image")) is not None and isinstance(image.info, PictureInfo):
            yield from self._picture(name, f"{at}.image", image, image.info)
            mask = assets.get("mask")
            if mask is not None and isinstance(mask.info, PictureInfo):
                size, wanted = (mask.info.width, mask.info.height), (image.info.width, image.info.height)
                if size != wanted:
                    what = f"is {size[0]}x{size[1]}; the picture is {wanted[0]}x{wanted[1]}, and the mask must be too"
                    yield Violation(f"{at}.mask", what, SpecReason.MASK_SIZE_WRONG)
                if mask.size_bytes > self.picture_max_bytes:
                    yield _too_large(name, f"{at}.mask", mask, self.picture_max_bytes)
        if (audio := assets.get("audio")) is not None and isinstance(audio.info, AudioInfo):
            yield from self._audio(name, f"{at}.audio", audio, audio.info)

    def _picture(self, name: str, at: str, asset: Asset, info: PictureInfo) -> Iterator[Violation]:
        short, long = sorted((info.width, info.height))
        least, most = self.picture_side_px
        size = f"is {info.width}x{info.height}"
        if short < least:
            yield Violation(
                at, f"{size}; {name!r} takes sides of at least {least} pixels", AssetReason.PICTURE_TOO_SMALL
            )
        if long > most:
            yield Violation(at, f"{size}; {name!r} takes sides of at most {most} pixels", AssetReason.PICTURE_TOO_LARGE)
        if long > self.picture_aspect_max * short:
            what = f"{size}; {name!r} takes shapes up to {self.picture_aspect_max:g}:1"
            yield Violation(at, what, AssetReason.PICTURE_ASPECT_RATIO)
        if asset.size_bytes > self.picture_max_bytes:
            yield _too_large(name, at, asset, self.picture_max_bytes)

    def _audio(self, name: str, at: str, asset: Asset, info: AudioInfo) -> Iterator[Violation]:
        least, most = self.audio_s
        if info.media_type not in self.audio_types:
            what = f"is {info.media_type}; {name!r} takes {', '.join(self.audio_types)}"
            yield Violation(at, what, AssetReason.AUDIO_FORMAT)
        plays = f"plays {info.duration_s:.3f} s; {name!r} takes"
        if info.duration_s < least:
            yield Violation(at, f"{plays} at least {least:g} s", SpecReason.AUDIO_TOO_SHORT)
        if info.duration_s > most:
            yield Violation(at, f"{plays} at most {most:g} s", AssetReason.AUDIO_TOO_LONG)
        if asset.size_bytes > self.audio_max_bytes:
            yield _too_large(name, at, asset, self.audio_max_bytes)


def check_scene(spec: Spec) -> Iterator[Violation]:
    """Yields what is wrong with what a prompt is to be written from."""
    operation = spec.operation
    if not isinstance(operation, SceneAnimation | TalkingAvatar):
        return
    at, scene = "spec." + operation.kind.replace("-", "_"), operation.scene
    if is_blank(scene.scene) and (scene.scene or isinstance(operation, SceneAnimation)):
        yield Violation(f"{at}.scene", "is empty; say what is to be seen and what happens", SpecReason.SCENE_EMPTY)
    if isinstance(operation, TalkingAvatar) and operation.prompt and scene != type(scene)():
        yield Violation(f"{at}.scene", "comes together with a prompt; give one of them", SpecReason.SCENE_AND_PROMPT)
    if isinstance(operation, TalkingAvatar) and not scene.scene and (scene.story or scene.details):
        yield Violation(f"{at}.scene", "is empty, though there is a story; say what happens", SpecReason.SCENE_EMPTY)
    for name, text, most in (("scene", scene.scene, SCENE_MOST), ("story", scene.story, STORY_MOST)):
        if len(text) > most:
            yield Violation(
                f"{at}.{name}", f"has {len(text)} characters; at most {most} are taken", SpecReason.SCENE_TOO_LONG
            )
        elif what := fault(text):
            yield Violation(f"{at}.{name}", what, SpecReason.PROMPT_MALFORMED)
    if len(scene.details) > DETAILS_MOST:
        what = f"has {len(scene.details)} entries; at most {DETAILS_MOST} are taken"
        yield Violation(f"{at}.details", what, SpecReason.SCENE_TOO_LONG)
    if any(is_blank(key) or len(key) > KEY_MOST or len(value) > VALUE_MOST for key, value in scene.details):
        what = f"has keys of 1 to {KEY_MOST} and values of at most {VALUE_MOST} characters only"
        yield Violation(f"{at}.details", what, SpecReason.SCENE_TOO_LONG)


def _given(spec: Spec, at: str) -> Iterator[tuple[str, str, object]]:
    """Yields every parameter that a spec may carry: its field, its name, and its value or None."""
    yield "spec.seed", "seed", spec.seed
    match spec.operation:
        case ImageToVideo() as image:
            yield f"{at}.audio", "audio", image.audio or None
            yield f"{at}.negative_prompt", "negative-prompt", image.negative_prompt
            yield f"{at}.prompt_expansion", "prompt-expansion", image.prompt_expansion
            yield f"{at}.guidance_scale", "guidance-scale", image.guidance_scale
        case SceneAnimation() as scene:
            yield f"{at}.negative_prompt", "negative-prompt", scene.negative_prompt
            yield f"{at}.guidance_scale", "guidance-scale", scene.guidance_scale
        case TalkingAvatar() as avatar:
            yield f"{at}.audio", "audio", avatar.audio or None
            yield f"{at}.mask", "mask", avatar.mask or None


def refused_locally(name: str, spec: Spec) -> Iterator[Violation]:
    """Yields the parameters of remote models that a spec gives to a model of our own."""
    at = "spec." + spec.operation.kind.replace("-", "_")
    for field_name, parameter, value in _given(spec, at):
        if parameter != "seed" and value is not None:
            yield Violation(field_name, f"{name!r} has no {parameter}; leave it out", SpecReason.PARAMETER_UNSUPPORTED)
    if spec.resolution is not None:
        what = f"{name!r} makes exact sizes; give spec.size"
        yield Violation("spec.resolution", what, SpecReason.RESOLUTION_UNSUPPORTED)


def _too_large(name: str, at: str, asset: Asset, most: int) -> Violation:
    # A picture is written again before it is stored: its size differs from that of the upload.
    what = f"is stored as {asset.info.media_type} of {asset.size_bytes} bytes; {name!r} takes at most {most}"
    return Violation(at, f"{what}; send a smaller one", SpecReason.ASSET_TOO_LARGE)
