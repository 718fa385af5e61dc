"""Times the same weights in torch, eagerly, by the libraries' own modules: the loop over the KV cache, the decode."""

from itertools import pairwise
from typing import Any

import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from torch.nn.functional import scaled_dot_product_attention

from tools.bench_video import PROMPT, timed
from tools.export import text_and_image_encoders, vae, wan_transformer
from tools.export.module_weights import LoadedWeights
from tools.export.profile import Profile, Schedule
from tools.export.weights import Weights
from tools.model_code import REPOSITORY, load


class CachedAttention:
    """Self-attention over a KV cache in plain torch: new keys and values are concatenated to the cached ones."""

    past: tuple[torch.Tensor, ...] = ()
    new: tuple[torch.Tensor, ...] = ()

    def __call__(self, attn: Any, x: torch.Tensor, _context: None, _mask: None, rotary: Any) -> torch.Tensor:
        """(1, tokens, dim) -> (1, tokens, dim)."""
        query, key = (
            wan_transformer.rotate(projected, rotary[0], rotary[1], attn.heads)
            .unflatten(2, (attn.heads, -1))
            .transpose(1, 2)
            for projected in (attn.norm_q(attn.to_q(x)), attn.norm_k(attn.to_k(x)))
        )
        self.new = key, attn.to_v(x).unflatten(2, (attn.heads, -1)).transpose(1, 2)
        out: torch.Tensor = attn.to_out[0](
            scaled_dot_product_attention(query, *self.keys_and_values()).transpose(1, 2).flatten(2)
        )
        return out

    def keys_and_values(self) -> tuple[torch.Tensor, ...]:
        """Keys and values, (1, heads, tokens, width), cached and new."""
        if not self.past:
            return self.new
        return tuple(torch.cat(pair, dim=2) for pair in zip(self.past, self.new, strict=True))


class PreparedAttention:
    """Cross-attention over keys and values that were projected once a video."""

    def __call__(self, attn: Any, x: torch.Tensor, context: Any, _mask: None, _rotary: None) -> torch.Tensor:
        """(1, tokens, dim) -> (1, tokens, dim)."""
        query = attn.norm_q(attn.to_q(x)).unflatten(2, (attn.heads, -1)).transpose(1, 2)
        read = [scaled_dot_product_attention(query, *pair) for pair in context]
        out: torch.Tensor = attn.to_out[0](torch.stack(read).sum(0).transpose(1, 2).flatten(2))
        return out


class TorchLoop:
    """The denoising loop in torch, eagerly, on the library's own blocks."""

    def __init__(self, model: WanTransformer3DModel, schedule: Schedule) -> None:
        self.model, self.schedule = model, schedule
        self.context = wan_transformer.Context(model)
        self.rotary = load("transformer", "position_and_time")
        self.attentions = [CachedAttention() for _ in model.blocks]
        for block, attention in zip(model.blocks, self.attentions, strict=True):
            block.attn1.set_processor(attention)
            block.attn2.set_processor(PreparedAttention())

    def video(self, prompt: torch.Tensor, tokens: torch.Tensor, latent: torch.Tensor, frames: int) -> torch.Tensor:
        """Latents (1, C, frames, h, w), the picture's first."""
        heads = self.model.config.num_attention_heads
        flat = [each.unflatten(2, (heads, -1)).transpose(1, 2) for each in self.context(prompt, tokens)]
        self.cross = [[flat[at : at + 2], flat[at + 2 : at + 4]] for at in range(0, len(flat), 4)]
        for attention in self.attentions:
            attention.past = ()
        self.cache_block(latent, 0)
        made, steps, size = [latent], [*self.schedule.warped(self.schedule.timesteps), 0.0], self.schedule.block_latents
        for start in range(1, frames, size):
            x = torch.randn(1, latent.shape[1], size, *latent.shape[3:])
            for timestep, following in pairwise(steps):
                clean = x - timestep / 1000 * self.forward(x, start, timestep)
                x = (1 - following / 1000) * clean + following / 1000 * torch.randn_like(x)
            made.append(clean)
            if start + size < frames:
                self.cache_block(clean, start)
        return torch.cat(made, dim=2)

    def forward(self, latents: torch.Tensor, start: int, timestep: float) -> torch.Tensor:
        """The flow, (1, C, F, h, w)."""
        model, (_, _, frames, height, width) = self.model, latents.shape
        rotary = [
            torch.from_numpy(each)
            for each in self.rotary.rotary(model.config.attention_head_dim, start, frames, height // 2, width // 2)
        ]
        x = model.patch_embedding(latents).flatten(2).transpose(1, 2)
        embedder = model.condition_embedder
        time_ = embedder.time_embedder(embedder.timesteps_proj(torch.tensor([timestep])))
        modulation = embedder.time_proj(embedder.act_fn(time_)).unflatten(1, (6, -1))
        for block, context in zip(model.blocks, self.cross, strict=True):
            x = block(x, context, modulation, rotary)
        shift, scale = (model.scale_shift_table + time_.unsqueeze(1)).chunk(2, dim=1)
        x = model.proj_out(model.norm_out(x) * (1 + scale) + shift)
        x = x.unflatten(2, (2, 2, -1)).unflatten(1, (frames, height // 2, width // 2))
        flow: torch.Tensor = x.permute(0, 6, 1, 2, 4, 3, 5).flatten(5, 6).flatten(3, 4)
        return flow

    def cache_block(self, latents: torch.Tensor, start: int) -> None:
        """The clean pass: adds final latents to the KV cache."""
        self.forward(latents, start, 0.0)
        tokens = latents.shape[3] * latents.shape[4] // 4
        most, sink = (self.schedule.cache_latents - self.schedule.block_latents), self.schedule.sink_latents
        for attention in self.attentions:
            attention.past = attention.keys_and_values()
            count = attention.past[0].shape[2] // tokens
            if count > most:  # the oldest frames after the sink leave the window
                kept = [*range(sink * tokens), *range((sink + count - most) * tokens, count * tokens)]
                attention.past = tuple(each[:, :, kept] for each in attention.past)


def torch_times(chosen: Profile, pixels: torch.Tensor) -> dict[str, float]:
    """Seconds of each stage by the libraries' own modules, eager, on the same weights."""
    weights, schedule = LoadedWeights(Weights.find(chosen.shipped)), chosen.schedule
    assert chosen.image_encoder is not None
    assert schedule is not None
    text = text_and_image_encoders.text_encoder(chosen, weights)
    image = text_and_image_encoders.image_encoder(chosen.image_encoder, weights, torch.float32)
    full_vae: AutoencoderKLWan = vae.vae(chosen, weights)
    loop = TorchLoop(wan_transformer.transformer(chosen, weights), schedule)
    tokenizer = load("tokenizer", "tokenize_prompt").PromptTokenizer(REPOSITORY / "tokenizer" / "1")
    ids, mask = (torch.from_numpy(each) for each in tokenizer(PROMPT))
    times: dict[str, float] = {}

    def encode() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        return text(ids, mask), image(pixels), full_vae.encode(pixels.unsqueeze(2)).latent_dist.mean

    with torch.inference_mode():
        prompt, tokens, latent = encode()
        loop.video(prompt, tokens, latent, 1 + schedule.block_latents)
        full_vae.decode(latent)
        with timed(times, "encoders"):
            encode()
        with timed(times, "transformer"):
            latents = loop.video(prompt, tokens, latent, schedule.max_latents)
        with timed(times, "VAE decode"):
            full_vae.decode(latents)
    return times
