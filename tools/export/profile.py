"""A profile: the sizes of every model, how videos are made, and where the models run."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args, get_type_hints

ROOT = Path(__file__).resolve().parents[2]
"""The folder of this repository."""


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
        """Number of tokens that it makes, the class token included."""
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
    """Channels besides the noisy latents: 20, the mask and the picture's latents, in bidirectional image-to-video."""


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
"""Upper limit of slots, clips or threads."""


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
    """Whether the text encoder is loaded for each new prompt and unloaded afterwards, and the KV cache released at
    the end of each video: so that both can use the same memory."""
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
    """The catalog's entry of a profile's model, except what follows from the rest."""

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
    """Everything that an export needs to know."""

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
        return [ROOT / self.weights] if self.weights else []

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
