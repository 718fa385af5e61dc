"""A paid task for a vendor: plain values, and inputs in files."""

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
    """One input, complete and checked, in a file that exists until it is submitted."""

    media_type: str
    size_bytes: int
    path: Path = Path()


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """The parameters of a video. A field that is None was not given; see provider.proto for units and ranges."""

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
