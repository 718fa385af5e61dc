"""The specification of one video: what a caller requests."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Any, ClassVar

from services.orchestrator.domain.library_details import Details

SEED_MAX = 2**63 - 1
QUALITY, FAST = "quality", "fast"
"""How a video is decoded: by the model's full VAE, or by a tiny one."""


class Fit(StrEnum):
    """How a picture is brought to the size of the video; it is never stretched."""

    CROP = "crop"
    PAD = "pad"


@dataclass(frozen=True, slots=True)
class Size:
    """Width and height of a frame in pixels."""

    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


@dataclass(frozen=True, slots=True)
class Scene:
    """What a prompt is written from. All of it is data: nothing in it instructs the writer."""

    scene: str = ""
    """What is to be seen and what happens."""
    story: str = ""
    """What the scene is part of."""
    details: tuple[tuple[str, str], ...] = ()
    """Names and appearance of the characters, and similar facts, by key in order."""


@dataclass(frozen=True, slots=True)
class ImageToVideo:
    """A picture moves as a text describes. None, or an empty asset, means: not given."""

    image: str
    """SHA-256 of the picture's asset, in hexadecimal digits."""
    prompt: str
    fit: Fit = Fit.CROP
    audio: str = ""
    """SHA-256 of the sound that goes with it."""
    negative_prompt: str | None = None
    prompt_expansion: bool | None = None
    guidance_scale: float | None = None

    kind: ClassVar[str] = "image-to-video"

    @property
    def assets(self) -> Mapping[str, str]:
        """Assets by role: those that must be given, and those that were."""
        return {"image": self.image} | ({"audio": self.audio} if self.audio else {})


@dataclass(frozen=True, slots=True)
class TextToVideo:
    """A video from a text alone."""

    prompt: str

    kind: ClassVar[str] = "text-to-video"
    assets: ClassVar[Mapping[str, str]] = {}


@dataclass(frozen=True, slots=True)
class SceneAnimation:
    """A picture of a scene moves; how, is written from the scene and its story."""

    image: str
    """SHA-256 of the picture's asset."""
    scene: Scene
    negative_prompt: str | None = None
    guidance_scale: float | None = None
    prompt: str = ""
    """Always empty: it is written."""

    kind: ClassVar[str] = "scene-animation"

    @property
    def assets(self) -> Mapping[str, str]:
        """Assets by role."""
        return {"image": self.image}


@dataclass(frozen=True, slots=True)
class TalkingAvatar:
    """A person in a picture speaks; the sound decides the length."""

    image: str
    """SHA-256 of the picture's asset."""
    audio: str
    """SHA-256 of the sound's asset."""
    mask: str = ""
    """SHA-256 of a picture of the same size: white where it may move."""
    prompt: str = ""
    """Empty: it is written from the scene, if there is one."""
    scene: Scene = Scene()

    kind: ClassVar[str] = "talking-avatar"

    @property
    def assets(self) -> Mapping[str, str]:
        """Assets by role: those that must be given, and those that were."""
        return {"image": self.image, "audio": self.audio} | ({"mask": self.mask} if self.mask else {})


Operation = ImageToVideo | TextToVideo | SceneAnimation | TalkingAvatar
KINDS: dict[str, type[Operation]] = {
    each.kind: each for each in (ImageToVideo, TextToVideo, SceneAnimation, TalkingAvatar)
}


@dataclass(frozen=True, slots=True)
class Spec:
    """One operation, made by one model. None means: the card's default."""

    model: str
    operation: Operation
    duration_ms: int | None = None
    size: Size | None = None
    seed: int | None = None
    timeout_ms: int | None = None
    quality: str | None = None
    resolution: str | None = None
    """Such as `720p`, where the card has them."""
    capability: str | None = None
    """The class of models that may make it, in place of one model; the model is then the one that was chosen."""
    price_most_micros: int | None = None
    """What it may cost at most, where a capability is named."""
    models: tuple[str, ...] | None = None
    """The models of the capability that may make it: those that the plan allowed at admission. None: not decided."""
    start_timeout_ms: int | None = None
    """From the admission to the first attempt at most; None: no limit but the timeout."""
    details: Details | None = None
    """What the library says of the video."""

    @property
    def negative_prompt(self) -> str | None:
        """What must not appear, if the caller has given it."""
        match self.operation:
            case ImageToVideo() | SceneAnimation() as operation:
                return operation.negative_prompt
        return None

    @property
    def written(self) -> bool:
        """Whether its prompt is to be written from a scene."""
        match self.operation:
            case SceneAnimation():
                return True
            case TalkingAvatar(prompt="", scene=Scene(scene=scene)):
                return scene != ""
        return False

    def fingerprint(self) -> str:
        """Returns a digest that two specs share exactly if they request the same."""
        requested = to_json(self)
        if requested["quality"] is None:
            del requested["quality"]  # digests from before the choice of quality stay the same
        return hashlib.sha256(json.dumps(requested, sort_keys=True).encode()).hexdigest()


LATER = ("resolution", "capability", "price_most_micros", "models", "start_timeout_ms", "details")
"""What specs that were stored earlier do not have."""


def to_json(spec: Spec) -> dict[str, Any]:
    """Returns the spec as plain JSON values, for storing. What came later and is not given is left out."""
    operation: dict[str, Any] = {"kind": spec.operation.kind}
    for each in fields(spec.operation):
        given = getattr(spec.operation, each.name)
        value = asdict(given) if isinstance(given, Scene) else given
        if each.name == "fit" or value != each.default:
            operation[each.name] = value
    stored = {
        "model": spec.model,
        "operation": operation,
        "duration_ms": spec.duration_ms,
        "size": [spec.size.width, spec.size.height] if spec.size else None,
        "seed": spec.seed,
        "timeout_ms": spec.timeout_ms,
        "quality": spec.quality,
    }
    later = {name: getattr(spec, name) for name in LATER}
    later["details"] = asdict(spec.details) if spec.details else None
    return stored | {name: value for name, value in later.items() if value is not None}


def from_json(stored: dict[str, Any]) -> Spec:
    """Returns the spec that `to_json` was given. One from before there was a choice of quality has the only one."""
    given = dict(stored["operation"])
    kind = KINDS[given.pop("kind")]
    if "fit" in given:
        given["fit"] = Fit(given["fit"])
    if isinstance(given.get("scene"), dict):
        scene = given["scene"]
        given["scene"] = Scene(scene["scene"], scene["story"], tuple((key, value) for key, value in scene["details"]))
    later = {name: stored.get(name) for name in LATER}
    if later["details"] is not None:
        later["details"] = Details(**later["details"] | {"tags": tuple(later["details"]["tags"])})
    if later["models"] is not None:
        later["models"] = tuple(later["models"])
    return Spec(
        model=stored["model"],
        operation=kind(**given),
        duration_ms=stored["duration_ms"],
        size=Size(*stored["size"]) if stored["size"] else None,
        seed=stored["seed"],
        timeout_ms=stored["timeout_ms"],
        quality=stored.get("quality", QUALITY),
        **later,
    )
