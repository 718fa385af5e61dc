"""Wan2.1's transformer in plain PyTorch, causal over a KV cache (`key_value_cache`) that is written in place.

A forward is split into stages at every attention. The stages, all arithmetic but attention, depend on how many latent
frames are computed and not on how many are cached: torch.compile sees two sizes of a video's blocks and not one for
every position. Nothing in a forward waits for the host or allocates memory that outlives it, and its inputs and outputs
always have the same addresses, so that it can be recorded as a CUDA graph.

The computation is that of `WanTransformer3DModel` of diffusers (https://github.com/huggingface/diffusers), whose names
the weights have. Weights, activations and cache have the profile's precision; norms, time embedding, modulation and
angles are FP32.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from key_value_cache import DTYPES, KeyValueCache
from network_runtime import PATCH
from safetensors import safe_open
from torch import Tensor
from torch.nn.functional import gelu, rms_norm
from torch.nn.functional import linear as affine
from transformer_settings import Settings
from wan_network_stages import (
    EPSILON,
    EndWeights,
    LayerWeights,
    Linear,
    after_attentions,
    attention,
    before_attention,
    between_attentions,
    embed,
    layer_normed,
    project_to_flow,
)

PICTURE_EPSILON = 1e-5
"""Of the norms around the projection of a picture's tokens, which the library leaves at torch's default."""

Read = Callable[[str, tuple[int, ...], torch.dtype], Tensor]
"""Returns the tensor of a name, of this shape and precision, on the device of the network."""

Stage = Callable[..., Any]


class CrossWeights(NamedTuple):
    """The weights of the keys and values of one layer's cross-attention to one source."""

    keys_values: Linear
    key_norm: Tensor


@dataclass(frozen=True)
class ForwardIO:
    """The inputs and the output of a forward: FP32, always at the same addresses."""

    latents: Tensor
    """(1, input channels, f, h, w)"""
    waves: Tensor
    """(1, time_width), of the timestep of all frames."""
    frames: Tensor
    """(f,), the absolute number of each."""
    flow: Tensor
    """(1, C, f, h, w)"""


class Wan:
    """The network. `stage` is applied to each stage: torch.compile, or nothing."""

    def __init__(self, settings: Settings, read: Read, stage: Callable[[Stage], Stage] = lambda each: each) -> None:
        self.dtype = DTYPES[settings.precision]
        self._read = read
        self._heads = settings.heads
        dim, self._patch = settings.heads * settings.head_width, settings.channels * PATCH**2
        embedder = "condition_embedder"
        self.end_weights = EndWeights(
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
        self._embed, self._before, self._between, self._after, self._project_to_flow = map(
            stage, (embed, before_attention, between_attentions, after_attentions, project_to_flow)
        )

    def project(self, cache: KeyValueCache, prompt: Tensor, picture: Tensor | None) -> None:
        """Sets the keys and values of cross-attention from (1, L, D) and (1, T, D'), FP32."""
        first, second = self.text
        text = affine(gelu(affine(prompt[0].to(self.dtype), *first), approximate="tanh"), *second)
        for target, cross in zip(cache.text, self.to_text, strict=True):
            self._set_cross(target, cross, text)
        if picture is None:
            cache.picture.zero_()
            return
        norm, first, second, norm_after = self.picture
        seen = layer_normed(picture[0], *norm, epsilon=PICTURE_EPSILON).to(self.dtype)
        seen = affine(gelu(affine(seen, *first)), *second)
        seen = layer_normed(seen, *norm_after, epsilon=PICTURE_EPSILON).to(self.dtype)
        for target, cross in zip(cache.picture, self.to_picture, strict=True):
            self._set_cross(target, cross, seen)

    def __call__(self, io: ForwardIO, cache: KeyValueCache, past: int) -> None:
        """One forward, from `io.latents` to `io.flow`, over `past` cached frames; its own are cached after them."""
        _, _, count, height, width = io.latents.shape
        x, time, modulation, cos, sin = self._embed(
            self.end_weights, io.latents, io.waves, io.frames, cache.frame_rotary, cache.position_rotary
        )
        start, end = past * cache.tokens, (past + count) * cache.tokens
        for number, layer in enumerate(self.layers):
            place = number % len(cache.keys)  # 0 without a cache
            keys, values, shifts = cache.keys[place], cache.values[place], modulation[number]
            query = self._before(layer, x, shifts, cos, sin, keys[start:end], values[start:end])
            x, query = self._between(layer, x, attention(query, keys[:end], values[:end]), shifts, self._heads)
            seen = attention(query, *cache.text[number])
            if self.to_picture:
                seen = seen + attention(query, *cache.picture[number])
            x = self._after(layer, x, seen, shifts)
        io.flow.copy_(self._project_to_flow(self.end_weights, x, time, (count, height // PATCH, width // PATCH)))

    def _set_cross(self, target: Tensor, cross: CrossWeights, x: Tensor) -> None:
        keys, values = affine(x, *cross.keys_values).chunk(2, dim=1)
        target[0].copy_(rms_norm(keys, keys.shape[-1:], cross.key_norm, EPSILON).unflatten(1, (self._heads, -1)))
        target[1].copy_(values.unflatten(1, (self._heads, -1)))

    def _layer(self, block: str, dim: int, wide: int) -> LayerWeights:
        attention, cross = f"{block}.attn1", f"{block}.attn2"
        return LayerWeights(
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

    def _cross(self, name: str, dim: int, keys: str, values: str, norm: str) -> CrossWeights:
        both = joined(*(self._linear(f"{name}.{each}", dim, dim) for each in (keys, values)))
        return CrossWeights(both, self._read(f"{name}.{norm}.weight", (dim,), self.dtype))

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
    """Joins several matrices on the same input to one: (n * out, in)."""
    return Linear(torch.cat([each.weight for each in parts]), torch.cat([each.bias for each in parts]))
