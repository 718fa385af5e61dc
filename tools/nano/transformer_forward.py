"""A forward of WanTransformer3DModel over sequences whose frames have a timestep each, with gradients or a KV cache."""

from functools import cache as lru_cached

import numpy as np
import torch
from diffusers import WanTransformer3DModel
from diffusers.models.transformers.transformer_wan import WanAttention, WanTransformerBlock
from torch.nn.functional import scaled_dot_product_attention

from tools.export.wan_transformer import KeyValue, rotate
from tools.model_code import load as model_code
from tools.nano.sequence_frames import Frames

position_and_time = model_code("transformer", "position_and_time")


def split_heads(x: torch.Tensor, heads: int) -> torch.Tensor:
    """(B, tokens, heads * width) -> (B, heads, tokens, width)."""
    return x.unflatten(2, (heads, -1)).transpose(1, 2)


def attend(query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """(B, heads, tokens, width) each -> (B, tokens, heads * width)."""
    return scaled_dot_product_attention(query, keys, values).transpose(1, 2).flatten(2)


def self_attention(
    attn: WanAttention,
    x: torch.Tensor,
    frames: Frames,
    rotary: tuple[torch.Tensor, torch.Tensor],
    cache: "KeyValueCache | None",
) -> torch.Tensor:
    """(B, F, S, dim) -> (B, F, S, dim): each group of frames attends to the frames that it may see."""
    count, tokens = x.shape[1:3]
    flat = x.flatten(1, 2)
    query = split_heads(rotate(attn.norm_q(attn.to_q(flat)), *rotary, attn.heads), attn.heads)
    keys = split_heads(rotate(attn.norm_k(attn.to_k(flat)), *rotary, attn.heads), attn.heads)
    values = split_heads(attn.to_v(flat), attn.heads)
    query, keys, values = (each.unflatten(2, (count, tokens)) for each in (query, keys, values))
    if cache is not None:
        keys, values = cache.extended(keys, values)
    parts = [each.unbind(2) for each in (query, keys, values)]  # each frame (B, heads, S, width)
    out = [
        attend(*(torch.cat([part[at] for at in some], 2) for part, some in zip(parts, (own, seen, seen), strict=True)))
        for own, seen in frames.groups
    ]  # the groups come in the order of their frames
    return attn.to_out[0](torch.cat(out, dim=1)).unflatten(1, (count, tokens))


class KeyValueCache:
    """The keys and values of earlier frames, layer by layer; for rollouts."""

    def __init__(self) -> None:
        self.layers: list[KeyValue] = []
        self.layer = 0
        self.keep = False

    def extended(self, keys: torch.Tensor, values: torch.Tensor) -> KeyValue:
        """The new ones after the earlier ones, (B, heads, F, S, width); kept if `keep` is set."""
        at, self.layer = self.layer, self.layer + 1
        both = (keys, values)
        if at < len(self.layers):
            both = torch.cat((self.layers[at][0], keys), dim=2), torch.cat((self.layers[at][1], values), dim=2)
        if self.keep:
            self.layers[at : at + 1] = [both]
        return both

    def forget(self, sink: int, most: int) -> None:
        """Leaves the sink and the newest, `most` frames in all."""
        for at, (keys, values) in enumerate(self.layers):
            excess = keys.shape[2] - most
            if excess > 0:
                kept = [*range(sink), *range(sink + excess, keys.shape[2])]
                self.layers[at] = keys[:, :, kept], values[:, :, kept]

    @property
    def frames(self) -> int:
        """Number of frames."""
        return self.layers[0][0].shape[2] if self.layers else 0


def cross_attention(
    attn: WanAttention, x: torch.Tensor, text: torch.Tensor, image: torch.Tensor | None
) -> torch.Tensor:
    """(B, F, S, dim) over the prompt's tokens and, added to it, the picture's."""
    flat = x.flatten(1, 2)
    query = split_heads(attn.norm_q(attn.to_q(flat)), attn.heads)
    out = attend(query, split_heads(attn.norm_k(attn.to_k(text)), attn.heads), split_heads(attn.to_v(text), attn.heads))
    if image is not None:
        keys, values = attn.norm_added_k(attn.add_k_proj(image)), attn.add_v_proj(image)
        out = out + attend(query, split_heads(keys, attn.heads), split_heads(values, attn.heads))
    return attn.to_out[0](out).view_as(x)


def layer(
    block: WanTransformerBlock,
    x: torch.Tensor,
    modulation: torch.Tensor,
    frames: Frames,
    rotary: tuple[torch.Tensor, torch.Tensor],
    text: torch.Tensor,
    image: torch.Tensor | None,
    cache: KeyValueCache | None,
) -> torch.Tensor:
    """WanTransformerBlock on (B, F, S, dim) with a timestep for each frame: `modulation` (B, F, 6, dim)."""
    parts = (block.scale_shift_table + modulation).unsqueeze(3).unbind(2)  # each (B, F, 1, dim)
    shift, scale, gate, feed_shift, feed_scale, feed_gate = parts
    x = x + self_attention(block.attn1, block.norm1(x) * (1 + scale) + shift, frames, rotary, cache) * gate
    x = x + cross_attention(block.attn2, block.norm2(x), text, image)
    return x + block.ffn(block.norm3(x) * (1 + feed_scale) + feed_shift) * feed_gate


def flow(
    model: WanTransformer3DModel,
    latents: torch.Tensor,
    timesteps: torch.Tensor,
    frames: Frames,
    text: torch.Tensor,
    image: torch.Tensor | None,
    cache: KeyValueCache | None = None,
) -> torch.Tensor:
    """The flow, noise minus clean, of the noisy frames, (B, noisy, C, h, w).

    `latents` (B, F, C, h, w); `timesteps` (B, F), 0 for clean ones; `text` (B, L, D), zero where padded; `image`
    (B, T, D').
    """
    height, width = (side // 2 for side in latents.shape[3:])
    rotary = rotary_table(model.config.attention_head_dim, frames.indices, height, width)
    x = model.patch_embedding(latents.transpose(1, 2)).flatten(3).permute(0, 2, 3, 1)  # (B, F, S, dim)
    embedder = model.condition_embedder
    time = embedder.time_embedder(waves(model.config.freq_dim, timesteps))  # (B, F, dim)
    modulation = embedder.time_proj(embedder.act_fn(time)).unflatten(2, (6, -1))
    text = embedder.text_embedder(text)
    image = None if image is None else embedder.image_embedder(image)
    if cache is not None:
        cache.layer = 0
    for block in model.blocks:
        x = layer(block, x, modulation, frames, rotary, text, image, cache)
    x, time = x[:, frames.clean :], time[:, frames.clean :].unsqueeze(2)
    shift, scale = (model.scale_shift_table.unsqueeze(1) + time).chunk(2, dim=2)  # (B, F, 1, dim)
    x = model.proj_out(model.norm_out(x) * (1 + scale) + shift)  # (B, noisy, S, 4 C)
    x = x.unflatten(3, (2, 2, -1)).unflatten(2, (height, width))  # (B, F, h, w, 2, 2, C)
    return x.permute(0, 1, 6, 2, 4, 3, 5).flatten(5, 6).flatten(3, 4)


@lru_cached
def rotary_table(
    head_width: int, indices: tuple[int, ...], height: int, width: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """The rotary table of these frames, cos and sin, (F * S, width / 2)."""
    tables = [position_and_time.rotary(head_width, index, 1, height, width) for index in indices]
    cos, sin = (torch.from_numpy(np.concatenate(each)) for each in zip(*tables, strict=True))
    return cos, sin


def waves(width: int, timesteps: torch.Tensor) -> torch.Tensor:
    """The sinusoidal embedding of timesteps (B, F), (B, F, width)."""
    rates = 10000.0 ** -(torch.arange(width // 2, dtype=torch.float64) / (width // 2))
    angles = timesteps.double().unsqueeze(-1) * rates
    return torch.cat((angles.cos(), angles.sin()), dim=-1).float()
