"""One piece of paid work, as a vendor is given it: plain values, and inputs that lie on disk."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path


class Role(Enum):
    """What an input is for."""

    IMAGE = "image"
    AUDIO = "audio"
    MASK = "mask"


@dataclass(frozen=True, slots=True)
class Input:
    """One input, whole and checked, in a file that lives as long as the submission."""

    media_type: str
    size_bytes: int
    path: Path = Path()


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What shall be made. A field that is None was not given; see provider.proto for units and ranges."""

    submission_id: str
    model: str
    prompt: str = ""
    negative_prompt: str | None = None
    duration_s: int | None = None
    resolution: str | None = None
    seed: int | None = None
    guidance_scale: float | None = None
    prompt_expansion: bool | None = None
    inputs: Mapping[Role, Input] = field(default_factory=dict)
