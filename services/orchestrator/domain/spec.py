"""What a caller asks for: the specification of one video."""

import hashlib
import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

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
class ImageToVideo:
    """A picture moves as a text says."""

    image: str
    """SHA-256 of the picture's asset, in hexadecimal digits."""
    prompt: str
    fit: Fit = Fit.CROP

    kind = "image-to-video"


@dataclass(frozen=True, slots=True)
class TextToVideo:
    """A video from a text alone."""

    prompt: str

    kind = "text-to-video"


Operation = ImageToVideo | TextToVideo


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

    def fingerprint(self) -> str:
        """Returns a digest that two specs share exactly when they ask for the same."""
        asked = to_json(self)
        if asked["quality"] is None:
            del asked["quality"]  # digests that were stored before there was a choice stay what they are
        return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()


def to_json(spec: Spec) -> dict[str, Any]:
    """Returns the spec as plain JSON values, for storing."""
    operation: dict[str, Any] = {"kind": spec.operation.kind, "prompt": spec.operation.prompt}
    if isinstance(spec.operation, ImageToVideo):
        operation |= {"image": spec.operation.image, "fit": spec.operation.fit.value}
    return {
        "model": spec.model,
        "operation": operation,
        "duration_ms": spec.duration_ms,
        "size": [spec.size.width, spec.size.height] if spec.size else None,
        "seed": spec.seed,
        "timeout_ms": spec.timeout_ms,
        "quality": spec.quality,
    }


def from_json(stored: dict[str, Any]) -> Spec:
    """Returns the spec that `to_json` was given. One from before there was a choice of quality has the only one."""
    given = stored["operation"]
    operation: Operation
    if given["kind"] == ImageToVideo.kind:
        operation = ImageToVideo(image=given["image"], prompt=given["prompt"], fit=Fit(given["fit"]))
    else:
        operation = TextToVideo(prompt=given["prompt"])
    return Spec(
        model=stored["model"],
        operation=operation,
        duration_ms=stored["duration_ms"],
        size=Size(*stored["size"]) if stored["size"] else None,
        seed=stored["seed"],
        timeout_ms=stored["timeout_ms"],
        quality=stored.get("quality", QUALITY),
    )
