"""The exporter's settings of a profile's transformer and pipeline: `settings.json`, next to the weights."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All of it; what a profile's pipeline does not use keeps its default."""

    pipeline: str
    """`causal` or `bidirectional`."""
    runtime: str
    """`onnx` or `torch`."""
    precision: str
    """Of weights, activations and cache: `fp32`, `fp16` or `bf16`."""

    channels: int
    """Of a latent."""
    condition_channels: int
    """Channels in addition to the noisy latents."""
    heads: int
    head_width: int
    layers: int
    feed_forward: int
    time_width: int
    """Of the sinusoidal embedding of a timestep."""
    text_length: int
    text_width: int
    image_tokens: int
    """Of the picture, class token included; 0: nothing attends to a picture."""
    image_width: int
    max_latents: int
    """Latent frames of the longest video."""

    warm_up_size: tuple[int, int] = (2, 2)
    """Latent (h, w) for which everything is made ready before the first request: the default size's on a GPU."""
    compile: bool = True
    """Whether torch.compile may be used on a GPU; it needs a C compiler there."""
    keep_cache: bool = True
    """Whether a slot keeps its buffers from video to video; else they are given back at the end of each."""

    # Of a causal pipeline.
    block_latents: int = 0
    """Latent frames that one block denoises together."""
    independent_first_frame: bool = True
    """Whether a made latent frame 0 is a block of its own."""
    timesteps: tuple[float, ...] = ()
    """Of each block, as the transformer sees them: falling from 1000."""
    first_timesteps: tuple[float, ...] = ()
    """Of the first block that is made."""
    window_latents: int = 0
    """Latent frames that a block attends to, its own and the sink's among them; 0: all."""
    sink_latents: int = 0
    """Of them, the video's first, which are never forgotten."""

    # Of a bidirectional pipeline.
    steps: int = 0
    shift: float = 1.0
    guidance: float = 1.0

    @property
    def input_channels(self) -> int:
        """That the transformer reads."""
        return self.channels + self.condition_channels

    @property
    def cache_latents(self) -> int:
        """Latent frames that fit into the KV cache of one video."""
        return self.window_latents or self.max_latents

    @property
    def prompt_shape(self) -> tuple[int, int, int]:
        """Of the prompt's embeddings."""
        return 1, self.text_length, self.text_width

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Of the picture's tokens."""
        return 1, self.image_tokens, self.image_width

    @classmethod
    def read(cls, folder: Path) -> "Settings":
        """The settings of the export in `folder`."""
        stated: dict[str, Any] = json.loads((folder / "settings.json").read_text())
        return cls(**{key: tuple(value) if isinstance(value, list) else value for key, value in stated.items()})
