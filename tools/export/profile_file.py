"""What a profile says: the sizes of every model, how videos are made, and where; `tools/profiles/<name>.toml`.

A profile with `base = "other"` says only what it changes of the other.
"""

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_type_hints

PROFILES = Path(__file__).resolve().parent.parent / "profiles"


class UnknownProfile(ValueError):
    """There is no profile of this name."""


class BadProfile(ValueError):
    """A profile's file cannot be used; the message says which and why."""


@dataclass(frozen=True, kw_only=True)
class TextEncoder:
    """umT5."""

    tokenizer: Literal["bytes", "file"]
    """`bytes`: byte b is token b + 3, as in ByT5. `file`: the tokenizer.json that comes with the weights."""
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
    """CLIP vision; profiles whose transformer does not attend to the picture have none."""

    size: int
    """Pixels a side of the square picture that it reads."""
    patch: int
    width: int
    heads: int
    feed_forward: int
    layers: int

    @property
    def tokens(self) -> int:
        """How many it makes, the class token among them."""
        return (self.size // self.patch) ** 2 + 1


@dataclass(frozen=True, kw_only=True)
class Vae:
    """AutoencoderKLWan, 8 times smaller in space and 4 in time."""

    base_width: int
    channels: int
    """Channels of a latent."""
    multiples: tuple[int, ...] = (1, 2, 4, 4)
    """Width of each level over the base's; sides halve, and double, between two of them."""
    blocks: int = 2
    """Residual blocks of a level."""
    residual: bool = False
    """Whether levels have shortcuts around them, as in Wan2.2."""
    patch: int = 1
    """Sides of the squares of pixels that become channels first, as in Wan2.2."""

    def __post_init__(self) -> None:
        if self.patch * 2 ** (len(self.multiples) - 1) != 8:
            raise BadProfile(f"a VAE makes pictures 8 times smaller; {self.multiples} and {self.patch} do not")


@dataclass(frozen=True, kw_only=True)
class TinyVae:
    """TAEHV's decoder: the quality `fast`."""

    widths: tuple[int, ...]
    """Channels of its four levels, the coarsest first; TAEHV's own are 256, 128, 64, 64."""


@dataclass(frozen=True, kw_only=True)
class Transformer:
    """WanTransformer3DModel; it has image cross-attention when the profile has an image encoder."""

    heads: int
    head_width: int
    feed_forward: int
    layers: int
    time_width: int
    condition_channels: int = 0
    """Channels beside the noisy latents: 20, the mask and the picture's latents, in bidirectional image-to-video."""


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How a causal profile makes videos: in which blocks, how long, in which steps."""

    block_latents: int
    """Latent frames that one block denoises together."""
    max_latents: int
    """Latent frames of the longest video."""
    timesteps: tuple[float, ...]
    """Before the shift, falling, the first 1000."""
    shift: float
    first_timesteps: tuple[float, ...] = ()
    """Of the first block that is made, where it takes others."""
    independent_first_frame: bool = True
    """Whether latent frame 0 is a block of its own, also where it is made and not given."""
    window_latents: int = 0
    """Latent frames that a block attends to, its own and the sink's among them; 0: all. What lies between is
    forgotten, so that a video can be longer than the cache: a departure from how the models were trained."""
    sink_latents: int = 0
    """Of them, the first ones of the video, which are never forgotten."""
    window_learnt: bool = False
    """Whether the models were trained with this window; otherwise the profile is an experiment."""

    @property
    def cache_latents(self) -> int:
        """Latent frames that the KV cache has room for."""
        return self.window_latents or self.max_latents

    def warped(self, timesteps: tuple[float, ...]) -> tuple[float, ...]:
        """The timesteps that the transformer sees: 1000 * s*u / (1 + (s - 1)*u) for u = t / 1000."""
        return tuple(1000 * self.shift * t / (1000 + (self.shift - 1) * t) for t in timesteps)


@dataclass(frozen=True, kw_only=True)
class Sampler:
    """How a bidirectional profile makes videos: all frames at once, by UniPC over the flow, with guidance."""

    max_latents: int
    steps: int
    shift: float
    guidance: float
    """Scale of classifier-free guidance; 1 is none, and one forward a step instead of two."""
    negative_prompt: str = ""


Device = Literal["cpu", "gpu"]
Precision = Literal["fp32", "fp16", "bf16"]
MOST = 256
"""Slots, clips or threads that make any sense."""


@dataclass(frozen=True, kw_only=True)
class Engine:
    """Where and how the models run."""

    device: Device = "cpu"
    """Of all models but the text encoder."""
    precision: Precision = "fp32"
    """Of the transformer and its cache; what goes in and out of any model stays fp32."""
    picture_precision: Precision = "fp32"
    """Of what sees pictures: the image encoder and the VAEs."""
    runtime: Literal["onnx", "torch"] = "onnx"
    """Of the transformer."""
    compile: bool = True
    """Whether the torch runtime uses torch.compile on a GPU; it needs a C compiler there."""
    text_device: Device = "cpu"
    text_precision: Precision = "fp32"
    text_on_demand: bool = False
    """Whether the text encoder is loaded for each new prompt and unloaded afterwards, and the KV cache given back at
    the end of each video: so the one can have the room of the other."""
    slots: int = 1
    """Videos that the transformer makes at once, each with a KV cache of its own; others wait."""
    clips: int = 8
    """Videos that a decoder holds the feature cache of."""
    threads: int = 2
    """Of each model on a CPU."""

    def __post_init__(self) -> None:
        for name, kind in get_type_hints(Engine).items():
            value, choices = getattr(self, name), get_args(kind)
            if choices and value not in choices:
                raise BadProfile(f"{name} cannot be {value!r}; it is {' or '.join(choices)}")
            if kind is bool and not isinstance(value, bool):
                raise BadProfile(f"{name} cannot be {value!r}; it is true or false")
            if kind is int and (type(value) is not int or not 1 <= value <= MOST):
                raise BadProfile(f"{name} cannot be {value!r}; it is a number from 1 to {MOST}")


@dataclass(frozen=True, kw_only=True)
class Card:
    """What the catalog says of a profile's model, beside what follows from the rest."""

    display_name: str
    description: str
    operations: tuple[str, ...]
    sizes: tuple[str, ...]
    """`WIDTHxHEIGHT`, the default first."""
    durations_s: tuple[float, ...]
    """The default first."""
    durations_s_by_operation: dict[str, tuple[float, ...]] = field(default_factory=dict)
    prompt_max_characters: int = 1000
    price_per_second_micros: int = 0
    default_timeout_s: int = 1800


@dataclass(frozen=True, kw_only=True)
class Profile:
    """All of it."""

    name: str
    pipeline: Literal["causal", "bidirectional"]
    fps: int
    """Frames a second that the videos are meant for."""
    weights: str = ""
    """The folder of weights that come with this repository, relative to it; else they are given at the export."""
    text_encoder: TextEncoder
    image_encoder: ImageEncoder | None = None
    vae: Vae
    tiny_vae: TinyVae | None = None
    transformer: Transformer
    schedule: Schedule | None = None
    sampler: Sampler | None = None
    engine: Engine
    card: Card

    @property
    def shipped(self) -> list[Path]:
        """Where the weights are that come with this repository, if they do."""
        return [PROFILES.parent.parent / self.weights] if self.weights else []

    @property
    def max_latents(self) -> int:
        """Latent frames of the longest video."""
        how = self.schedule or self.sampler
        assert how is not None, "a profile has a schedule or a sampler"
        return how.max_latents

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """Widths and heights of the card, the default first."""
        pairs = [size.split("x") for size in self.card.sizes]
        return [(int(width), int(height)) for width, height in pairs]


Section = TypeVar("Section")


def known() -> list[str]:
    """The names of all profiles; a file whose name begins with _ is only a base of others."""
    return sorted(file.stem for file in PROFILES.glob("[!_]*.toml"))


def load(name: str) -> Profile:
    """Reads one profile: of `tools/profiles` by its name, or any file that ends in .toml.

    Raises:
        UnknownProfile: no such file.
        BadProfile: a key is missing, or one is there that means nothing.
    """
    try:
        profile = _parse(Profile, _raw(name))
    except RecursionError as error:
        raise BadProfile(f"the profile {name!r} stands on itself") from error
    except (TypeError, ValueError) as error:
        if isinstance(error, UnknownProfile):
            raise
        raise BadProfile(f"the profile {name!r} cannot be used: {error}") from error
    sizes = profile.card.sizes
    if not sizes or not all(re.fullmatch(r"[1-9]\d{1,3}x[1-9]\d{1,3}", str(size)) for size in sizes):
        raise BadProfile(f"the profile {name!r} needs sizes such as 832x480, not {sizes}")
    if profile.schedule is not None and not profile.schedule.timesteps:
        raise BadProfile(f"the profile {name!r} has no timesteps")
    wanted = {"causal": profile.schedule, "bidirectional": profile.sampler}
    if profile.pipeline not in wanted or wanted[profile.pipeline] is None:
        raise BadProfile(f"the profile {name!r} lacks what its pipeline, {profile.pipeline!r}, needs")
    return profile


def with_engine(profile: Profile, changes: Sequence[str]) -> Profile:
    """The profile with some of its engine changed, each as `key=value`.

    Raises:
        BadProfile: there is no such key, or the value cannot be one of it.
    """
    engine, kinds = profile.engine, get_type_hints(Engine)
    for change in changes:
        key, _, text = change.partition("=")
        if key not in kinds:
            raise BadProfile(f"an engine has no {key!r}; it has {', '.join(kinds)}")
        words: dict[str, Any] = {"true": True, "false": False}
        value = words.get(text, int(text) if text.isdecimal() else text)
        changed: dict[str, Any] = {key: value}
        engine = replace(engine, **changed)
    return replace(profile, engine=engine)


def _raw(name: str) -> dict[str, Any]:
    file = Path(name) if name.endswith(".toml") else PROFILES / f"{name}.toml"
    if not file.is_file():
        raise UnknownProfile(f"no profile {name!r}; there is {', '.join(known())}")
    raw = tomllib.loads(file.read_text())
    return _over(_raw(raw.pop("base")), raw) if "base" in raw else raw


def _over(base: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in change.items():
        both = isinstance(value, dict) and isinstance(base.get(key), dict)
        merged[key] = _over(base[key], value) if both else value
    return merged


def _parse(kind: type[Section], raw: dict[str, Any]) -> Section:
    """Builds a dataclass of ours from a table; lists become tuples."""
    types = get_type_hints(kind)
    sections = {each.name for each in fields(kind)}  # type: ignore[arg-type]
    made = {}
    for key, value in raw.items():
        if key not in sections:
            raise BadProfile(f"{kind.__name__} has no {key!r}")
        choices = [each for each in (types[key], *getattr(types[key], "__args__", ())) if isinstance(each, type)]
        section = next((each for each in choices if hasattr(each, "__dataclass_fields__")), None)
        made[key] = _parse(section, value) if section is not None and isinstance(value, dict) else _tuples(value)
    return kind(**made)


def _tuples(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _tuples(each) for key, each in value.items()}
    return tuple(value) if isinstance(value, list) else value
