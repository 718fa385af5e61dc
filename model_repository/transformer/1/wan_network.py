"""Wan2.1's transformer in plain PyTorch, causal over a cache of keys and values that is written in place.

A forward is cut into stages at every attention. The stages, all arithmetic but attention, depend on how many latent
frames are computed and not on how many are cached: torch.compile sees two sizes of a video's blocks and not one for
every place in it. Nothing in a forward waits for the host or allocates what outlives it, and its inputs and outputs
lie where they always lay, so that it can be recorded as a CUDA graph.

The computation is that of `WanTransformer3DModel` of diffusers (https://github.com/huggingface/diffusers), whose names
the weights have; the cache is Self-Forcing's (https://github.com/guandeh17/Self-Forcing): keys are kept turned.
Weights, activations and cache have the profile's precision; norms, time embedding, modulation and angles are FP32.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from kv_cache_runtime import PATCH, Floats
from position_and_time import MAX_FRAMES, rotary
from safetensors import safe_open
from torch import Tensor
from torch.nn.functional import gelu, rms_norm
from torch.nn.functional import linear as affine
from transformer_settings import Settings
from wan_network_stages import (
    EPSILON,
    Layer,
    Linear,
    Ways,
    after_attentions,
    attend,
    before_attention,
    between_attentions,
    enter,
    leave,
    normed,
)

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
PICTURE_EPSILON = 1e-5
"""Of the norms around the projection of a picture's tokens, which the library leaves at torch's default."""

Read = Callable[[str, tuple[int, ...], torch.dtype], Tensor]
"""Gives the tensor of a name, of this shape and precision, where the network is to be."""

Stage = Callable[..., Any]


class Cross(NamedTuple):
    """What makes the keys and values of one layer's cross-attention to one source."""

    keys_values: Linear
    key_norm: Tensor


@dataclass(frozen=True)
class Ends:
    """What goes into a forward, and comes out of it: FP32, always in the same place."""

    latents: Tensor
    """(1, input channels, f, h, w)"""
    waves: Tensor
    """(1, time_width), of the timestep of all frames."""
    frames: Tensor
    """(f,), the absolute number of each."""
    flow: Tensor
    """(1, C, f, h, w)"""


@dataclass(frozen=True)
class Memory:
    """What forwards over one video read and write besides: caches, and tables for its size."""

    keys: Tensor
    """(layers, cache tokens, heads, head_width), frame after frame; those of one layer up to a frame are contiguous.

    Where nothing is cached, (1, tokens of a forward, heads, head_width): each layer writes over what the last did.
    """
    values: Tensor
    """As `keys`, and no part of the same storage: a compiled stage writes to both."""
    text: Tensor
    """(layers, 2, text_length, heads, head_width), keys and values of cross-attention."""
    picture: Tensor
    """(layers, 2, image_tokens, heads, head_width); zeros where there is no picture, which add nothing."""
    time_turns: Tensor
    """FP32 (2, MAX_FRAMES, channels): of each channel of a head that turns with the frame, the cosine of its angle; and
    the sine, which is negative for the first of a pair."""
    place_turns: Tensor
    """FP32 (2, tokens of a frame, the other channels): of those that turn with row and column."""

    @classmethod
    def allocate(
        cls, settings: Settings, size: tuple[int, int], device: torch.device, *, alone: int | None = None
    ) -> "Memory":
        """For one video of latent `size` (h, w); with `alone`, for forwards over so many frames and none cached."""
        rows, columns = (side // PATCH for side in size)
        heads = settings.heads, settings.head_width
        side = settings.head_width // 6  # as embedding.rotary divides the pairs
        time = settings.head_width - 4 * side

        def room(layers: int, *tokens: int) -> Tensor:
            return torch.empty(layers, *tokens, *heads, dtype=DTYPES[settings.precision], device=device)

        cached, frames = (settings.layers, settings.cache_latents) if alone is None else (1, alone)
        keys, values = (room(cached, frames * rows * columns) for _ in range(2))
        by_frame = channel_turns(*rotary(settings.head_width, 0, MAX_FRAMES, 1, 1))
        by_place = channel_turns(*rotary(settings.head_width, 0, 1, rows, columns))
        return cls(
            keys=keys,
            values=values,
            text=room(settings.layers, 2, settings.text_length),
            picture=room(settings.layers, 2, settings.image_tokens),
            time_turns=by_frame[..., :time].to(device, copy=True),
            place_turns=by_place[..., time:].to(device, copy=True),
        )

    @property
    def bytes(self) -> int:
        """What all of it takes."""
        return sum(getattr(self, each.name).nbytes for each in fields(self))

    @property
    def tokens(self) -> int:
        """Of a frame."""
        return self.place_turns.shape[1]

    def move(self, source: int, target: int) -> None:
        """Copies a cached frame to another place of the cache."""
        for cache in (self.keys, self.values):
            source_rows, target_rows = (slice(at * self.tokens, (at + 1) * self.tokens) for at in (source, target))
            cache[:, target_rows].copy_(cache[:, source_rows])


class Wan:
    """The network. `stage` is what each stage goes through when it is made: torch.compile, or nothing."""

    def __init__(self, settings: Settings, read: Read, stage: Callable[[Stage], Stage] = lambda each: each) -> None:
        self.dtype = DTYPES[settings.precision]
        self._read = read
        self._heads = settings.heads
        dim, self._patch = settings.heads * settings.head_width, settings.channels * PATCH**2
        embedder = "condition_embedder"
        self.ways = Ways(
            patch=self._patches(dim, settings.input_channels),
            time=(
                self._linear(f"{embedder}.time_embedder.linear_1", dim, settings.time_width, dtype=torch.float32),
                self._linear(f"{embedder}.time_embedder.linear_2", dim, dim, dtype=torch.float32),
            ),
            time_projection=self._linear(f"{embedder}.time_proj", 6 * dim, dim),
            tables=torch.cat(
                [
                    read(f"blocks.{number}.scale_shift_table", (1, 6, dim), torch.float32)
                    for number in range(settings.layers)
                ]
            ),
            out_table=read("scale_shift_table", (1, 2, dim), torch.float32)[0],
            out=self._linear("proj_out", self._patch, dim),
        )
        self.text = [
            self._linear(f"{embedder}.text_embedder.linear_1", dim, settings.text_width),
            self._linear(f"{embedder}.text_embedder.linear_2", dim, dim),
        ]
        wide = settings.image_width
        self.picture = (
            [
                self._norm(f"{embedder}.image_embedder.norm1", wide),
                self._linear(f"{embedder}.image_embedder.ff.net.0.proj", wide, wide),
                self._linear(f"{embedder}.image_embedder.ff.net.2", dim, wide),
                self._norm(f"{embedder}.image_embedder.norm2", dim),
            ]
            if wide
            else []
        )
        blocks = [f"blocks.{number}" for number in range(settings.layers)]
        self.layers = [self._layer(block, dim, settings.feed_forward) for block in blocks]
        self.to_text = [self._cross(f"{block}.attn2", dim, "to_k", "to_v", "norm_k") for block in blocks]
        self.to_picture = [
            self._cross(f"{block}.attn2", dim, "add_k_proj", "add_v_proj", "norm_added_k") for block in blocks if wide
        ]
        self._enter, self._before, self._between, self._after, self._leave = map(
            stage, (enter, before_attention, between_attentions, after_attentions, leave)
        )

    def project(self, memory: Memory, prompt: Tensor, picture: Tensor | None) -> None:
        """Fills the keys and values of cross-attention from (1, L, D) and (1, T, D'), FP32."""
        first, second = self.text
        text = affine(gelu(affine(prompt[0].to(self.dtype), *first), approximate="tanh"), *second)
        for room, cross in zip(memory.text, self.to_text, strict=True):
            self._fill(room, cross, text)
        if picture is None:
            memory.picture.zero_()
            return
        norm, first, second, norm_after = self.picture
        seen = normed(picture[0], *norm, epsilon=PICTURE_EPSILON).to(self.dtype)
        seen = affine(gelu(affine(seen, *first)), *second)
        seen = normed(seen, *norm_after, epsilon=PICTURE_EPSILON).to(self.dtype)
        for room, cross in zip(memory.picture, self.to_picture, strict=True):
            self._fill(room, cross, seen)

    def __call__(self, ends: Ends, memory: Memory, past: int) -> None:
        """One forward, from `ends.latents` to `ends.flow`, over `past` cached frames; its own are cached after them."""
        _, _, count, height, width = ends.latents.shape
        x, time, modulation, cos, sin = self._enter(
            self.ways, ends.latents, ends.waves, ends.frames, memory.time_turns, memory.place_turns
        )
        start, end = past * memory.tokens, (past + count) * memory.tokens
        for number, layer in enumerate(self.layers):
            place = number % len(memory.keys)  # 0 in memory without a cache
            keys, values, shifts = memory.keys[place], memory.values[place], modulation[number]
            query = self._before(layer, x, shifts, cos, sin, keys[start:end], values[start:end])
            x, query = self._between(layer, x, attend(query, keys[:end], values[:end]), shifts, self._heads)
            seen = attend(query, *memory.text[number])
            if self.to_picture:
                seen = seen + attend(query, *memory.picture[number])
            x = self._after(layer, x, seen, shifts)
        ends.flow.copy_(self._leave(self.ways, x, time, (count, height // PATCH, width // PATCH)))

    def _fill(self, room: Tensor, cross: Cross, x: Tensor) -> None:
        keys, values = affine(x, *cross.keys_values).chunk(2, dim=1)
        room[0].copy_(rms_norm(keys, keys.shape[-1:], cross.key_norm, EPSILON).unflatten(1, (self._heads, -1)))
        room[1].copy_(values.unflatten(1, (self._heads, -1)))

    def _layer(self, block: str, dim: int, wide: int) -> Layer:
        attention, cross = f"{block}.attn1", f"{block}.attn2"
        return Layer(
            queries_keys_values=joined(*(self._linear(f"{attention}.to_{each}", dim, dim) for each in "qkv")),
            query_norm=self._read(f"{attention}.norm_q.weight", (dim,), self.dtype),
            key_norm=self._read(f"{attention}.norm_k.weight", (dim,), self.dtype),
            out=self._linear(f"{attention}.to_out.0", dim, dim),
            cross_norm=self._norm(f"{block}.norm2", dim),
            cross_query=self._linear(f"{cross}.to_q", dim, dim),
            cross_query_norm=self._read(f"{cross}.norm_q.weight", (dim,), self.dtype),
            cross_out=self._linear(f"{cross}.to_out.0", dim, dim),
            up=self._linear(f"{block}.ffn.net.0.proj", wide, dim),
            down=self._linear(f"{block}.ffn.net.2", dim, wide),
        )

    def _cross(self, name: str, dim: int, keys: str, values: str, norm: str) -> Cross:
        both = joined(*(self._linear(f"{name}.{each}", dim, dim) for each in (keys, values)))
        return Cross(both, self._read(f"{name}.{norm}.weight", (dim,), self.dtype))

    def _patches(self, dim: int, channels: int) -> Linear:
        weight = self._read("patch_embedding.weight", (dim, channels, 1, PATCH, PATCH), self.dtype)
        return Linear(weight.flatten(1), self._read("patch_embedding.bias", (dim,), self.dtype))

    def _norm(self, name: str, dim: int) -> Linear:
        return Linear(*(self._read(f"{name}.{each}", (dim,), torch.float32) for each in ("weight", "bias")))

    def _linear(self, name: str, out: int, into: int, *, dtype: torch.dtype | None = None) -> Linear:
        dtype = dtype or self.dtype
        return Linear(self._read(f"{name}.weight", (out, into), dtype), self._read(f"{name}.bias", (out,), dtype))


def weights_in(file: Path, device: str) -> Read:
    """Reads tensors of a safetensors file, straight to the device.

    Raises:
        FileNotFoundError: there is no such file.
    """
    source = safe_open(file, framework="pt", device=device)

    def read(name: str, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        tensor = source.get_tensor(name)
        if tuple(tensor.shape) != shape or tensor.dtype != dtype:
            raise ValueError(f"{file.name} has {name} as {tensor.dtype} {tuple(tensor.shape)}, not {dtype} {shape}")
        return tensor

    return read


def joined(*parts: Linear) -> Linear:
    """One matrix that does the work of several on the same input: (n * out, in)."""
    return Linear(torch.cat([each.weight for each in parts]), torch.cat([each.bias for each in parts]))


def channel_turns(cos: Floats, sin: Floats) -> Tensor:
    """From the table of pairs, (n, pairs), to that of channels, (2, n, 2 * pairs)."""
    both = np.stack((np.stack((cos, cos), axis=2), np.stack((-sin, sin), axis=2)))
    return torch.from_numpy(both.reshape(2, len(cos), -1))
