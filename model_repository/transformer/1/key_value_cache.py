"""The KV cache of one video: the keys and values of each layer, in buffers that never move.

Keys are stored rotated, as in Self-Forcing (https://github.com/guandeh17/Self-Forcing).
"""

from dataclasses import dataclass, fields

import numpy as np
import torch
from network_runtime import PATCH, Floats
from position_and_time import MAX_FRAMES, rotary
from torch import Tensor
from transformer_settings import Settings

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class KeyValueCache:
    """The KV cache of one video, and the rotary tables for its size."""

    keys: Tensor
    """(layers, cache tokens, heads, head_width), frame after frame; those of one layer up to a frame are contiguous.

    Without a cache, (1, tokens of a forward, heads, head_width): each layer overwrites the keys of the one before.
    """
    values: Tensor
    """As `keys`, in a storage of its own, because a compiled stage writes to both."""
    text: Tensor
    """(layers, 2, text_length, heads, head_width), keys and values of cross-attention."""
    picture: Tensor
    """(layers, 2, image_tokens, heads, head_width); zeros where there is no picture, which add nothing."""
    frame_rotary: Tensor
    """FP32 (2, MAX_FRAMES, channels): for each channel of a head that rotates with the frame, the cosine of its
    angle; and the sine, which is negative for the first channel of a pair."""
    position_rotary: Tensor
    """FP32 (2, tokens of a frame, the other channels): for those that rotate with row and column."""

    @classmethod
    def allocate(
        cls, settings: Settings, size: tuple[int, int], device: torch.device, *, uncached: int | None = None
    ) -> "KeyValueCache":
        """For one video of latent `size` (h, w); with `uncached`, for forwards over so many frames without a cache."""
        rows, columns = (side // PATCH for side in size)
        heads = settings.heads, settings.head_width
        side = settings.head_width // 6  # as position_and_time.rotary divides the pairs
        time = settings.head_width - 4 * side

        def empty(layers: int, *tokens: int) -> Tensor:
            return torch.empty(layers, *tokens, *heads, dtype=DTYPES[settings.precision], device=device)

        cached, frames = (settings.layers, settings.cache_latents) if uncached is None else (1, uncached)
        keys, values = (empty(cached, frames * rows * columns) for _ in range(2))
        by_frame = channel_rotary(*rotary(settings.head_width, 0, MAX_FRAMES, 1, 1))
        by_place = channel_rotary(*rotary(settings.head_width, 0, 1, rows, columns))
        return cls(
            keys=keys,
            values=values,
            text=empty(settings.layers, 2, settings.text_length),
            picture=empty(settings.layers, 2, settings.image_tokens),
            frame_rotary=by_frame[..., :time].to(device, copy=True),
            position_rotary=by_place[..., time:].to(device, copy=True),
        )

    @property
    def bytes(self) -> int:
        """Bytes of all tensors."""
        return sum(getattr(self, each.name).nbytes for each in fields(self))

    @property
    def tokens(self) -> int:
        """Tokens of a frame."""
        return self.position_rotary.shape[1]

    def move(self, source: int, target: int) -> None:
        """Copies a cached frame to another place in the cache."""
        for cache in (self.keys, self.values):
            source_rows, target_rows = (slice(at * self.tokens, (at + 1) * self.tokens) for at in (source, target))
            cache[:, target_rows].copy_(cache[:, source_rows])


def channel_rotary(cos: Floats, sin: Floats) -> Tensor:
    """Converts the rotary table of pairs, (n, pairs), to one of channels, (2, n, 2 * pairs)."""
    both = np.stack((np.stack((cos, cos), axis=2), np.stack((-sin, sin), axis=2)))
    return torch.from_numpy(both.reshape(2, len(cos), -1))
