"""What a profile says: the sizes of every model and the schedule, read from `tools/profiles/<name>.toml`."""

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

PROFILES = Path(__file__).resolve().parent.parent / "profiles"


class UnknownProfile(ValueError):
    """There is no profile of this name."""


@dataclass(frozen=True, kw_only=True)
class TextEncoder:
    """umT5 over bytes."""

    length: int
    """Tokens of a prompt, padding included."""
    vocabulary: int
    width: int
    head_width: int
    heads: int
    feed_forward: int
    layers: int


@dataclass(frozen=True, kw_only=True)
class ImageEncoder:
    """CLIP vision."""

    size: int
    """Pixels a side of the square picture that it reads."""
    patch: int
    width: int
    heads: int
    feed_forward: int
    layers: int


@dataclass(frozen=True, kw_only=True)
class Vae:
    """AutoencoderKLWan, 8 times smaller in space and 4 in time."""

    base_width: int
    channels: int
    """Channels of a latent."""


@dataclass(frozen=True, kw_only=True)
class Transformer:
    """WanTransformer3DModel with image cross-attention."""

    heads: int
    head_width: int
    feed_forward: int
    layers: int
    time_width: int


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How videos are made: in which blocks, how long, in which steps."""

    block_latents: int
    """Latent frames that one block denoises together."""
    max_latents: int
    """Latent frames of the longest video; the KV cache never grows beyond it."""
    timesteps: tuple[float, ...]
    """Before the shift, falling, the first 1000."""
    shift: float

    @property
    def warped(self) -> tuple[float, ...]:
        """The timesteps that the transformer sees: 1000 * s*u / (1 + (s - 1)*u) for u = t / 1000."""
        return tuple(1000 * self.shift * t / (1000 + (self.shift - 1) * t) for t in self.timesteps)


@dataclass(frozen=True, kw_only=True)
class Profile:
    """All of it; `seed` draws the weights, `fps` is what the videos are meant for."""

    name: str
    seed: int
    fps: int
    text_encoder: TextEncoder
    image_encoder: ImageEncoder
    vae: Vae
    transformer: Transformer
    schedule: Schedule


Section = TypeVar("Section")


def load(name: str) -> Profile:
    """Reads one profile.

    Raises:
        UnknownProfile: no such file.
        TypeError: a key is missing, or one is there that means nothing.
    """
    file = PROFILES / f"{name}.toml"
    if not file.is_file():
        known = ", ".join(sorted(each.stem for each in PROFILES.glob("*.toml")))
        raise UnknownProfile(f"no profile {name!r}; there is {known}")
    raw = tomllib.loads(file.read_text())
    raw["schedule"]["timesteps"] = tuple(float(t) for t in raw["schedule"]["timesteps"])
    sections = {field.name: field.type for field in fields(Profile) if isinstance(raw.get(field.name), dict)}
    made: dict[str, Any] = {key: kind(**raw[key]) for key, kind in sections.items() if isinstance(kind, type)}
    return Profile(**{**raw, **made})
