"""Trains the transformer, and with it the picture's encoder, as the cached rollout will use them.

A sequence is a stretch of a clip twice over: its clean frames, as the cache will hold them, then some of its blocks
with noise, each of which attends to what the cache would hold of the past (the sink and a window) and to itself. So
every block of a sequence is trained under the conditions of its own making, with a noise level of its own (diffusion
forcing, https://arxiv.org/abs/2407.01392, with the clean past of teacher forcing).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from diffusers import WanTransformer3DModel
from diffusers.models.transformers.transformer_wan import WanAttention, WanTransformerBlock
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

from tools.export.causal_transformer import rotate
from tools.export.profile_file import Schedule
from tools.model_code import load as model_code

embedding = model_code("transformer", "position_and_time")

KeyValue = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class Frames:
    """The latent frames of a sequence: which they are, and which of them each group of them attends to."""

    indices: tuple[int, ...]
    """Absolute latent frames: first clean ones, then noisy ones."""
    noisy: int
    """How many of them, at the end, are noisy."""
    groups: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]
    """Places in the sequence that attend together, and the places that they attend to."""

    @property
    def clean(self) -> int:
        """How many come first."""
        return len(self.indices) - self.noisy


@cache
def stretch(schedule: Schedule, start: int, blocks: int) -> Frames:
    """Some blocks to be made from frame `start` on, after the frames that the cache would hold."""
    size, sink = schedule.block_latents, schedule.sink_latents
    kept = schedule.window_latents - sink - size
    first = max(sink, start - kept)
    clean = (*range(sink), *range(first, start + size * (blocks - 1)))
    place = {frame: index for index, frame in enumerate(clean)}
    groups = [(tuple(range(sink)), tuple(range(sink)))]

    def past(begin: int) -> tuple[int, ...]:
        return tuple(place[frame] for frame in clean if frame < sink or begin - kept <= frame < begin)

    for begin in range(first, clean[-1] + 1, size) if len(clean) > sink else ():
        own = tuple(place[frame] for frame in range(begin, begin + size))
        groups.append((own, past(begin) + own))
    made = tuple(range(start, start + size * blocks))
    for block in range(blocks):
        own = tuple(len(clean) + block * size + each for each in range(size))
        groups.append((own, past(start + block * size) + own))
    return Frames(clean + made, len(made), tuple(groups))


@cache
def alone(frames: int = 1) -> Frames:
    """A first frame that is made from a text alone."""
    places = tuple(range(frames))
    return Frames(places, frames, ((places, places),))


def heads_apart(x: torch.Tensor, heads: int) -> torch.Tensor:
    """(B, tokens, heads * width) -> (B, heads, tokens, width)."""
    return x.unflatten(2, (heads, -1)).transpose(1, 2)


def attend(query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """(B, heads, tokens, width) each -> (B, tokens, heads * width)."""
    return scaled_dot_product_attention(query, keys, values).transpose(1, 2).flatten(2)


def self_attention(
    attn: WanAttention, x: torch.Tensor, frames: Frames, rotary: tuple[torch.Tensor, torch.Tensor], past: "Past | None"
) -> torch.Tensor:
    """(B, F, S, dim) -> (B, F, S, dim): every group of frames over the frames that it sees."""
    count, tokens = x.shape[1:3]
    flat = x.flatten(1, 2)
    query = heads_apart(rotate(attn.norm_q(attn.to_q(flat)), *rotary, attn.heads), attn.heads)
    keys = heads_apart(rotate(attn.norm_k(attn.to_k(flat)), *rotary, attn.heads), attn.heads)
    values = heads_apart(attn.to_v(flat), attn.heads)
    query, keys, values = (each.unflatten(2, (count, tokens)) for each in (query, keys, values))
    if past is not None:
        keys, values = past.extended(keys, values)
    parts = [each.unbind(2) for each in (query, keys, values)]  # each frame (B, heads, S, width)
    out = [
        attend(*(torch.cat([part[at] for at in some], 2) for part, some in zip(parts, (own, seen, seen), strict=True)))
        for own, seen in frames.groups
    ]  # the groups come in the order of their frames
    return attn.to_out[0](torch.cat(out, dim=1)).unflatten(1, (count, tokens))


class Past:
    """Keys and values of earlier frames, layer by layer; for rollouts."""

    def __init__(self) -> None:
        self.layers: list[KeyValue] = []
        self.layer = 0
        self.keep = False

    def extended(self, keys: torch.Tensor, values: torch.Tensor) -> KeyValue:
        """The new ones after the earlier ones, (B, heads, F, S, width); kept when `keep` says so."""
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
        """How many there are."""
        return self.layers[0][0].shape[2] if self.layers else 0


def cross_attention(
    attn: WanAttention, x: torch.Tensor, text: torch.Tensor, image: torch.Tensor | None
) -> torch.Tensor:
    """(B, F, S, dim) over the prompt's tokens and, added to it, the picture's."""
    flat = x.flatten(1, 2)
    query = heads_apart(attn.norm_q(attn.to_q(flat)), attn.heads)
    out = attend(query, heads_apart(attn.norm_k(attn.to_k(text)), attn.heads), heads_apart(attn.to_v(text), attn.heads))
    if image is not None:
        keys, values = attn.norm_added_k(attn.add_k_proj(image)), attn.add_v_proj(image)
        out = out + attend(query, heads_apart(keys, attn.heads), heads_apart(values, attn.heads))
    return attn.to_out[0](out).view_as(x)


def layer(
    block: WanTransformerBlock,
    x: torch.Tensor,
    modulation: torch.Tensor,
    frames: Frames,
    rotary: tuple[torch.Tensor, torch.Tensor],
    text: torch.Tensor,
    image: torch.Tensor | None,
    past: Past | None,
) -> torch.Tensor:
    """WanTransformerBlock on (B, F, S, dim) with a timestep for each frame: `modulation` (B, F, 6, dim)."""
    parts = (block.scale_shift_table + modulation).unsqueeze(3).unbind(2)  # each (B, F, 1, dim)
    shift, scale, gate, feed_shift, feed_scale, feed_gate = parts
    x = x + self_attention(block.attn1, block.norm1(x) * (1 + scale) + shift, frames, rotary, past) * gate
    x = x + cross_attention(block.attn2, block.norm2(x), text, image)
    return x + block.ffn(block.norm3(x) * (1 + feed_scale) + feed_shift) * feed_gate


def flow(
    model: WanTransformer3DModel,
    latents: torch.Tensor,
    timesteps: torch.Tensor,
    frames: Frames,
    text: torch.Tensor,
    image: torch.Tensor | None,
    past: Past | None = None,
) -> torch.Tensor:
    """The flow, noise minus clean, of the noisy frames, (B, noisy, C, h, w).

    `latents` (B, F, C, h, w); `timesteps` (B, F), 0 for clean ones; `text` (B, L, D), zero where padded; `image`
    (B, T, D').
    """
    height, width = (side // 2 for side in latents.shape[3:])
    rotary = turned(model.config.attention_head_dim, frames.indices, height, width)
    x = model.patch_embedding(latents.transpose(1, 2)).flatten(3).permute(0, 2, 3, 1)  # (B, F, S, dim)
    embedder = model.condition_embedder
    time = embedder.time_embedder(waves(model.config.freq_dim, timesteps))  # (B, F, dim)
    modulation = embedder.time_proj(embedder.act_fn(time)).unflatten(2, (6, -1))
    text = embedder.text_embedder(text)
    image = None if image is None else embedder.image_embedder(image)
    if past is not None:
        past.layer = 0
    for block in model.blocks:
        x = layer(block, x, modulation, frames, rotary, text, image, past)
    x, time = x[:, frames.clean :], time[:, frames.clean :].unsqueeze(2)
    shift, scale = (model.scale_shift_table.unsqueeze(1) + time).chunk(2, dim=2)  # (B, F, 1, dim)
    x = model.proj_out(model.norm_out(x) * (1 + scale) + shift)  # (B, noisy, S, 4 C)
    x = x.unflatten(3, (2, 2, -1)).unflatten(2, (height, width))  # (B, F, h, w, 2, 2, C)
    return x.permute(0, 1, 6, 2, 4, 3, 5).flatten(5, 6).flatten(3, 4)


@cache
def turned(head_width: int, indices: tuple[int, ...], height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The rotary table of these frames, cos and sin, (F * S, width / 2)."""
    tables = [embedding.rotary(head_width, index, 1, height, width) for index in indices]
    cos, sin = (torch.from_numpy(np.concatenate(each)) for each in zip(*tables, strict=True))
    return cos, sin


def waves(width: int, timesteps: torch.Tensor) -> torch.Tensor:
    """The sinusoidal embedding of timesteps (B, F), (B, F, width)."""
    rates = 10000.0 ** -(torch.arange(width // 2, dtype=torch.float64) / (width // 2))
    angles = timesteps.double().unsqueeze(-1) * rates
    return torch.cat((angles.cos(), angles.sin()), dim=-1).float()


def noise_levels(rng: np.random.Generator, schedule: Schedule, shape: tuple[int, int]) -> torch.Tensor:
    """Timesteps for blocks, (B, blocks): half of them those of the rollout, half between."""
    steps = np.array(schedule.warped(schedule.timesteps))
    u = rng.random(shape)
    between = 1000 * schedule.shift * u / (1 + (schedule.shift - 1) * u)
    return torch.from_numpy(np.where(rng.random(shape) < 0.6, rng.choice(steps, shape), between)).float()


def flow_loss(
    model: WanTransformer3DModel,
    schedule: Schedule,
    rng: np.random.Generator,
    clean: torch.Tensor,
    past: torch.Tensor,
    frames: Frames,
    text: torch.Tensor,
    image: torch.Tensor | None,
) -> Mapping[str, torch.Tensor]:
    """Flow matching: `clean` (B, noisy, C, h, w) are the frames to make, `past` (B, clean, C, h, w) those before."""
    count, size = clean.shape[0], min(schedule.block_latents, frames.noisy)
    timesteps = noise_levels(rng, schedule, (count, frames.noisy // size)).repeat_interleave(size, dim=1)
    sigma = (timesteps / 1000).view(count, -1, 1, 1, 1)
    noise = torch.randn_like(clean)
    latents = torch.cat((past, (1 - sigma) * clean + sigma * noise), dim=1)
    told = flow(model, latents, torch.cat((torch.zeros(count, frames.clean), timesteps), 1), frames, text, image)
    error = (told - (noise - clean)).square()
    first = (error.detach() * sigma.square()).mean()  # of the clean latents that it points to
    return {"loss": error.mean(), "clean": first}


@torch.no_grad()  # type: ignore[untyped-decorator]
def rollout(
    model: WanTransformer3DModel,
    schedule: Schedule,
    first: torch.Tensor,
    count: int,
    text: torch.Tensor,
    image: torch.Tensor | None,
) -> torch.Tensor:
    """Latent frames (B, count, C, h, w) made after the first, (B, 1, C, h, w), as the served model makes them."""
    past, made = Past(), [first]
    zeros = torch.zeros(first.shape[0], 1)

    def keep(latents: torch.Tensor, start: int) -> None:
        past.keep = True
        flow(model, latents, zeros.expand(-1, latents.shape[1]), seen(start, latents.shape[1], past), text, image, past)
        past.keep = False

    keep(first, 0)
    size = schedule.block_latents
    steps = schedule.warped(schedule.timesteps)
    for start in range(1, count, size):
        past.forget(schedule.sink_latents, schedule.cache_latents - size)
        x = torch.randn_like(first.expand(-1, size, -1, -1, -1))
        for step, timestep in enumerate(steps):
            times = torch.full((first.shape[0], size), timestep)
            clean = x - timestep / 1000 * flow(model, x, times, seen(start, size, past), text, image, past)
            if step + 1 < len(steps):
                sigma = steps[step + 1] / 1000
                x = (1 - sigma) * clean + sigma * torch.randn_like(x)
        made.append(clean)
        if start + size < count:
            keep(clean, start)
    return torch.cat(made, dim=1)


def own_past(
    model: WanTransformer3DModel,
    schedule: Schedule,
    past: torch.Tensor,
    frames: Frames,
    start: int,
    text: torch.Tensor,
    image: torch.Tensor | None,
) -> torch.Tensor:
    """The clean frames of a stretch, (B, clean, C, h, w), those from `start` on as the model makes them in one step.

    What comes before is taken as it is.
    """
    cache, size, given = Past(), schedule.block_latents, frames.indices.index(start)
    made = [past[:, :given]]
    count = past.shape[0]

    def keep(latents: torch.Tensor, first: int) -> None:
        cache.forget(schedule.sink_latents, schedule.cache_latents - size)
        cache.keep = True
        zeros = torch.zeros(count, latents.shape[1])
        flow(model, latents, zeros, seen(first, latents.shape[1], cache), text, image, cache)
        cache.keep = False

    keep(past[:, : schedule.sink_latents], 0)
    for place in range(schedule.sink_latents, given, size):
        keep(past[:, place : place + size], frames.indices[place])
    for begin in range(start, start + frames.clean - given, size):
        cache.forget(schedule.sink_latents, schedule.cache_latents - size)
        noise = torch.randn_like(past[:, :size])
        times = torch.full((count, size), 1000.0)
        clean = noise - flow(model, noise, times, seen(begin, size, cache), text, image, cache)
        made.append(clean)
        keep(clean, begin)
    return torch.cat(made, dim=1).float()


def seen(start: int, count: int, past: Past) -> Frames:
    """Frames that attend to all that is kept and to themselves."""
    places = tuple(range(count))
    every = tuple(range(past.frames + count))
    return Frames(tuple(range(start, start + count)), count, ((places, every),))


def bias_free(model: WanTransformer3DModel) -> None:
    """Starts so that padding, which is zero, says nothing: it is most of what a prompt's attention sees."""
    embedder = model.condition_embedder
    for linear in (embedder.text_embedder.linear_1, embedder.text_embedder.linear_2, *values(model)):
        nn.init.zeros_(linear.bias)


def values(model: WanTransformer3DModel) -> Iterable[nn.Linear]:
    """What makes keys and values of the prompt."""
    for block in model.blocks:
        yield block.attn2.to_k
        yield block.attn2.to_v
