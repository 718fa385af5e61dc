"""The stages of a forward of Wan2.1's transformer, which is split at every attention, and attention itself.

Each stage is a pure function of tensors, except that `before_attention` writes keys and values into its arguments. The
shapes depend on how many latent frames are computed, never on how many are cached.
"""

from typing import NamedTuple

import torch
from network_runtime import PATCH
from torch import Tensor
from torch.nn.functional import gelu, layer_norm, rms_norm, scaled_dot_product_attention, silu
from torch.nn.functional import linear as affine

EPSILON = 1e-6


class Linear(NamedTuple):
    """A matrix (out, in) and a bias, (out,); also those of a norm."""

    weight: Tensor
    bias: Tensor


class LayerWeights(NamedTuple):
    """The weights of one layer, in the order of their use."""

    queries_keys_values: Linear
    query_norm: Tensor
    key_norm: Tensor
    out: Linear
    cross_norm: Linear
    cross_query: Linear
    cross_query_norm: Tensor
    cross_out: Linear
    up: Linear
    down: Linear


class EndWeights(NamedTuple):
    """The weights before and after the layers: patches to tokens, a timestep to the modulations, tokens to patches."""

    patch: Linear
    time: tuple[Linear, Linear]
    time_projection: Linear
    tables: Tensor  # (layers, 6, dim)
    out_table: Tensor  # (2, dim)
    out: Linear


def embed(
    weights: EndWeights, latents: Tensor, waves: Tensor, frames: Tensor, frame_rotary: Tensor, position_rotary: Tensor
) -> tuple[Tensor, ...]:
    """Tokens (tokens, dim), time (1, dim), FP32 modulation (layers, 6, dim), and the cosines and sines of the
    rotary angles.

    FP32 latents (1, C, f, h, w); waves (1, time_width) of their timestep; frames (f,), the absolute number of each;
    the rotary tables as KeyValueCache has them.
    """
    _, channels, count, height, width = latents.shape
    dtype = weights.patch.weight.dtype
    x = latents.to(dtype).view(channels, count, height // PATCH, PATCH, width // PATCH, PATCH)
    x = affine(x.permute(1, 2, 4, 0, 3, 5).reshape(-1, weights.patch.weight.shape[1]), *weights.patch)
    first, second = weights.time
    time = affine(silu(affine(waves, *first)), *second).to(dtype)
    modulation = weights.tables + affine(silu(time), *weights.time_projection).view(6, -1).float()
    tokens = position_rotary.shape[1]
    by_frame = frame_rotary[:, frames.long()].unsqueeze(2).expand(-1, -1, tokens, -1)
    rotations = torch.cat((by_frame, position_rotary.unsqueeze(1).expand(-1, count, -1, -1)), dim=3)
    cos, sin = rotations.view(2, count * tokens, 1, -1).unbind()  # (tokens, 1, head_width) each
    return x, time, modulation, cos, sin


def before_attention(
    layer: LayerWeights, x: Tensor, modulation: Tensor, cos: Tensor, sin: Tensor, keys: Tensor, values: Tensor
) -> Tensor:
    """Queries (tokens, heads, head_width); writes `keys` and `values`, of the same shape."""
    shift, scale = modulation[0], modulation[1]
    y = (layer_normed(x) * (1 + scale) + shift).to(x.dtype)
    query, key, value = affine(y, *layer.queries_keys_values).chunk(3, dim=1)
    heads = keys.shape[1:]
    values.copy_(value.unflatten(1, heads))
    keys.copy_(rotated(rms_norm(key, key.shape[-1:], layer.key_norm, EPSILON).unflatten(1, heads), cos, sin))
    return rotated(rms_norm(query, query.shape[-1:], layer.query_norm, EPSILON).unflatten(1, heads), cos, sin)


def between_attentions(
    layer: LayerWeights, x: Tensor, attended: Tensor, modulation: Tensor, heads: int
) -> tuple[Tensor, Tensor]:
    """The tokens (tokens, dim) after self-attention, and the queries of cross-attention."""
    gate = modulation[2]
    x = (x.float() + affine(attended, *layer.out) * gate).to(x.dtype)
    query = affine(layer_normed(x, *layer.cross_norm).to(x.dtype), *layer.cross_query)
    return x, rms_norm(query, query.shape[-1:], layer.cross_query_norm, EPSILON).unflatten(1, (heads, -1))


def after_attentions(layer: LayerWeights, x: Tensor, attended: Tensor, modulation: Tensor) -> Tensor:
    """The tokens (tokens, dim) after the whole layer."""
    shift, scale, gate = modulation[3], modulation[4], modulation[5]
    x = x + affine(attended, *layer.cross_out)
    y = (layer_normed(x) * (1 + scale) + shift).to(x.dtype)
    y = affine(gelu(affine(y, *layer.up), approximate="tanh"), *layer.down)
    return (x.float() + y.float() * gate).to(x.dtype)


def project_to_flow(weights: EndWeights, x: Tensor, time: Tensor, grid: tuple[int, int, int]) -> Tensor:
    """The flow, FP32 (1, C, f, h, w), of a grid of (frames, rows, columns) of tokens."""
    shift, scale = (weights.out_table + time).unbind()
    x = affine((layer_normed(x) * (1 + scale) + shift).to(x.dtype), *weights.out)
    count, rows, columns = grid
    x = x.float().view(count, rows, columns, PATCH, PATCH, -1).permute(5, 0, 1, 3, 2, 4)
    return x.reshape(1, -1, count, rows * PATCH, columns * PATCH)


def attention(query: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Attention over (tokens, heads, head_width) each, as FlashAttention has its heads: (tokens, dim)."""
    out = scaled_dot_product_attention(*(each.unsqueeze(0).transpose(1, 2) for each in (query, keys, values)))
    return out.transpose(1, 2).flatten(2)[0]


def rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotates each pair of neighbours in (tokens, heads, head_width) by its angle, in FP32; `sin` is KeyValueCache's.

    Written so that a compiler sees one loop over x: pairs put together by a stack would go through memory.
    """
    exact = x.float()
    return (exact * cos + exact.unflatten(2, (-1, 2)).flip(-1).flatten(2) * sin).type_as(x)


def layer_normed(
    x: Tensor, weight: Tensor | None = None, bias: Tensor | None = None, *, epsilon: float = EPSILON
) -> Tensor:
    """LayerNorm over the last axis, in FP32."""
    return layer_norm(x.float(), x.shape[-1:], weight, bias, epsilon)
