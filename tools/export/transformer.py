"""The transformer: WanTransformer3DModel made causal from outside, as two graphs.

`context` runs once a video: it projects prompt and picture to the keys and values of every cross-attention. `block` is
one forward over the latents of one block: their keys and values come out, those of all earlier frames go in.

The modules are the library's; only the attention processors are ours, and the rotary table is an input, so that frames
have their absolute positions.
"""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, cast

import torch
from diffusers import WanTransformer3DModel
from diffusers.models.transformers.transformer_wan import WanAttention
from torch.nn.functional import scaled_dot_product_attention

from tools.export.artefact import Artefact, Document
from tools.export.filling import Filling
from tools.export.graph import DTYPES, Graph
from tools.export.profile import Profile
from tools.export.start_transformer import carry_frames

KeyValue = tuple[torch.Tensor, torch.Tensor]  # each (1, heads, tokens, width)


def split(x: torch.Tensor, heads: int) -> torch.Tensor:
    """(1, tokens, heads * width) -> (1, heads, tokens, width)."""
    return x.unflatten(2, (heads, -1)).transpose(1, 2)


def join(x: torch.Tensor) -> torch.Tensor:
    """(1, heads, tokens, width) -> (1, tokens, heads * width)."""
    return x.transpose(1, 2).flatten(2)


def rotate(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Turns each pair of neighbours in (1, heads, tokens, width) by its angle, (tokens, width / 2)."""
    even, odd = x.unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1).flatten(-2)


class SelfAttention:
    """A processor that puts the cached keys and values in front of the new ones, and keeps the new ones."""

    past: KeyValue
    new: KeyValue

    def __call__(
        self,
        attn: WanAttention,
        x: torch.Tensor,
        _context: None,
        _mask: None,
        rotary: tuple[torch.Tensor, torch.Tensor],
    ) -> torch.Tensor:
        """(1, tokens, dim) -> (1, tokens, dim)."""
        query = rotate(split(attn.norm_q(attn.to_q(x)), attn.heads), *rotary)
        key = rotate(split(attn.norm_k(attn.to_k(x)), attn.heads), *rotary)
        value = split(attn.to_v(x), attn.heads)
        self.new = key, value
        keys, values = (torch.cat(pair, dim=2) for pair in zip(self.past, self.new, strict=True))
        out: torch.Tensor = attn.to_out[0](join(scaled_dot_product_attention(query, keys, values)))
        return out


class CrossAttention:
    """A processor over the keys and values that `context` made: of the prompt and, added to it, of the picture."""

    def __call__(
        self, attn: WanAttention, x: torch.Tensor, context: tuple[KeyValue, KeyValue], _mask: None, _rotary: None
    ) -> torch.Tensor:
        """(1, tokens, dim) -> (1, tokens, dim)."""
        query = split(attn.norm_q(attn.to_q(x)), attn.heads)
        text, image = (scaled_dot_product_attention(query, *each) for each in context)
        out: torch.Tensor = attn.to_out[0](join(text + image))
        return out


class Context(torch.nn.Module):  # type: ignore[misc]
    """What the forwards of a video attend to besides its latents."""

    def __init__(self, model: WanTransformer3DModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, prompt_embeddings: torch.Tensor, image_tokens: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """FP32 (1, L, D) and (1, T, D') -> for each layer the text's key and value, then the image's.

        FP32 (1, heads, L or T, width). A picture that is not there is zeros in both of its tensors, for attention over
        zero values adds nothing.
        """
        text = self.model.condition_embedder.text_embedder(prompt_embeddings)
        image = self.model.condition_embedder.image_embedder(image_tokens)
        out: list[torch.Tensor] = []
        for block in self.model.blocks:
            attn = cast(WanAttention, block.attn2)
            out.append(split(attn.norm_k(attn.to_k(text)), attn.heads))
            out.append(split(attn.to_v(text), attn.heads))
            out.append(split(attn.norm_added_k(attn.add_k_proj(image)), attn.heads))
            out.append(split(attn.add_v_proj(image), attn.heads))
        return tuple(out)


class Block(torch.nn.Module):  # type: ignore[misc]
    """One forward over the latent frames of a block. Takes the model over: its attention processors are replaced."""

    def __init__(self, model: WanTransformer3DModel) -> None:
        super().__init__()
        self.model = model
        self.attentions = [SelfAttention() for _ in model.blocks]
        for block, attention in zip(model.blocks, self.attentions, strict=True):
            block.attn1.set_processor(attention)
            block.attn2.set_processor(CrossAttention())

    def forward(
        self,
        latents: torch.Tensor,
        timesteps: torch.Tensor,
        cos: torch.Tensor,
        sin: torch.Tensor,
        context: list[torch.Tensor],
        past: list[torch.Tensor],
    ) -> tuple[torch.Tensor, ...]:
        """The flow, noise minus clean, FP32 (1, C, F, h, w); then each layer's new key and value, shaped as `past`.

        `latents` FP32 (1, C, F, h, w); `timesteps` FP32 (F,) in [0, 1000], one a frame; `cos`, `sin` FP32
        (F * h/2 * w/2, width / 2), the rotary table; `context` as Context makes it; `past` each layer's key and value,
        FP32 (1, heads, earlier tokens, width), rotated.
        """
        model = self.model
        _, _, frames, height, width = latents.shape
        x = model.patch_embedding(latents)  # (1, dim, F, h/2, w/2)
        per_frame = x.shape[3] * x.shape[4]
        x = x.flatten(2).transpose(1, 2)  # (1, tokens, dim)
        embedder = model.condition_embedder
        time = embedder.time_embedder(embedder.timesteps_proj(timesteps))  # (F, dim)
        modulation = embedder.time_proj(embedder.act_fn(time)).unflatten(1, (6, -1))  # (F, 6, dim)
        modulation = spread(modulation, per_frame)  # (1, tokens, 6, dim)
        new: list[torch.Tensor] = []
        for layer, block in enumerate(model.blocks):
            self.attentions[layer].past = past[2 * layer], past[2 * layer + 1]
            text, image = context[4 * layer : 4 * layer + 2], context[4 * layer + 2 : 4 * layer + 4]
            x = block(x, (tuple(text), tuple(image)), modulation, (cos, sin))
            new.extend(self.attentions[layer].new)
        shift, scale = spread(model.scale_shift_table + time.unsqueeze(1), per_frame).unbind(2)  # (1, tokens, dim) each
        x = model.proj_out(model.norm_out(x) * (1 + scale) + shift)  # (1, tokens, 4 * C)
        x = x.unflatten(2, (2, 2, -1)).unflatten(1, (frames, height // 2, width // 2))
        flow = x.permute(0, 6, 1, 2, 4, 3, 5).flatten(5, 6).flatten(3, 4)
        return flow, *new


def spread(x: torch.Tensor, per_frame: int) -> torch.Tensor:
    """(F, n, dim) -> (1, F * per_frame, n, dim): what is true of a frame, for each of its tokens."""
    return x.unsqueeze(1).expand(-1, per_frame, -1, -1).flatten(0, 1).unsqueeze(0)


def transformer(profile: Profile, filling: Filling) -> WanTransformer3DModel:
    """The profile's transformer; through a drawn one frames pass."""
    size, image = profile.transformer, profile.image_encoder

    def make() -> WanTransformer3DModel:
        return WanTransformer3DModel(
            num_attention_heads=size.heads,
            attention_head_dim=size.head_width,
            in_channels=profile.vae.channels + size.condition_channels,
            out_channels=profile.vae.channels,
            text_dim=profile.text_encoder.width,
            freq_dim=size.time_width,
            ffn_dim=size.feed_forward,
            num_layers=size.layers,
            image_dim=None if image is None else image.width,
            added_kv_proj_dim=None if image is None else size.heads * size.head_width,
        )

    return filling.module("transformer", make, dtype=DTYPES[profile.engine.precision], start=carry_frames)


def graphs(profile: Profile, filling: Filling) -> Iterator[Artefact]:
    """The two graphs, and what the rollout has to know."""
    made = transformer(profile, filling)
    context, block = Context(made), Block(made)
    layers, image = profile.transformer.layers, profile.image_encoder
    keys_and_values = [f"{kind}_{layer}" for layer in range(layers) for kind in ("key", "value")]
    cross = [f"{of}_{kind}_{layer}" for layer in range(layers) for of in ("text", "image") for kind in ("key", "value")]
    assert image is not None
    yield Graph(
        file="transformer/1/context.onnx",
        module=context,
        examples=[
            {
                "prompt_embeddings": torch.randn(1, profile.text_encoder.length, profile.text_encoder.width),
                "image_tokens": torch.randn(1, image.tokens, image.width),
            }
            for _ in range(2)
        ],
        inputs=["prompt_embeddings", "image_tokens"],
        outputs=cross,
        precision=profile.engine.precision,
    )
    yield Graph(
        file="transformer/1/block.onnx",
        module=block,
        examples=[
            example(profile, frames=frames, height=height, width=width, past_frames=past)
            for frames, past, (height, width) in (
                (2, 3, (16, 28)),
                (1, 0, (28, 16)),
                (2, 1, (20, 20)),
                (2, 19, (16, 28)),
            )
        ],
        inputs=["latents", "timesteps", "cos", "sin", *cross, *(f"past_{name}" for name in keys_and_values)],
        outputs=["flow", *(f"new_{name}" for name in keys_and_values)],
        dynamic={"latents": (2, 3, 4), "timesteps": (0,), "cos": (0,), "sin": (0,), "past": (2,)},
        precision=profile.engine.precision,
    )
    yield settings(profile)


def settings(profile: Profile) -> Document:
    """`settings.json`: what the loop has to know beside the weights."""
    schedule, size, image = profile.schedule, profile.transformer, profile.image_encoder
    content: dict[str, Any] = {
        "pipeline": profile.pipeline,
        "runtime": profile.engine.runtime,
        "precision": profile.engine.precision,
        "channels": profile.vae.channels,
        "condition_channels": size.condition_channels,
        "heads": size.heads,
        "head_width": size.head_width,
        "layers": size.layers,
        "feed_forward": size.feed_forward,
        "time_width": size.time_width,
        "text_length": profile.text_encoder.length,
        "text_width": profile.text_encoder.width,
        "image_tokens": 0 if image is None else image.tokens,
        "image_width": 0 if image is None else image.width,
        "max_latents": profile.max_latents,
    }
    if schedule is not None:
        content |= {
            "block_latents": schedule.block_latents,
            "independent_first_frame": schedule.independent_first_frame,
            "timesteps": schedule.warped(schedule.timesteps),
            "first_timesteps": schedule.warped(schedule.first_timesteps or schedule.timesteps),
            "window_latents": schedule.window_latents,
            "sink_latents": schedule.sink_latents,
        }
    if profile.sampler is not None:
        content |= {key: value for key, value in asdict(profile.sampler).items() if key != "negative_prompt"}
    return Document(file="transformer/1/settings.json", content=content)


def rotary(head_width: int, start: int, frames: int, height: int, width: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The rotary table of `frames` latent frames from absolute frame `start`: cos and sin, (tokens, head_width / 2).

    Height and width count patches. A third of the pairs each for rows and for columns, the rest for frames; computed in
    float64.
    """
    side = head_width // 6
    angles = []
    for count, pairs in ((start + frames, head_width // 2 - 2 * side), (height, side), (width, side)):
        rate = 10000.0 ** -(torch.arange(pairs, dtype=torch.float64) / pairs)
        angles.append(torch.outer(torch.arange(count, dtype=torch.float64), rate))
    shape = (frames, height, width, -1)
    table = torch.cat(
        (
            angles[0][start:, None, None].expand(*shape),
            angles[1][None, :, None].expand(*shape),
            angles[2][None, None].expand(*shape),
        ),
        dim=-1,
    ).flatten(0, 2)
    return table.cos().float(), table.sin().float()


def example(profile: Profile, *, frames: int, height: int, width: int, past_frames: int) -> dict[str, Any]:
    """Random inputs of Block for latents of `height` x `width` after `past_frames` earlier frames."""
    size = profile.transformer
    tokens = height * width // 4
    cos, sin = rotary(size.head_width, past_frames, frames, height // 2, width // 2)

    def random(count: int) -> torch.Tensor:
        return torch.randn(1, size.heads, count, size.head_width)

    image_tokens = profile.image_encoder.tokens if profile.image_encoder else 0
    lengths = (profile.text_encoder.length,) * 2 + (image_tokens,) * 2
    return {
        "latents": torch.randn(1, profile.vae.channels, frames, height, width),
        "timesteps": torch.linspace(625, 1000, frames),
        "cos": cos,
        "sin": sin,
        "context": [random(length) for _ in range(size.layers) for length in lengths],
        "past": [random(past_frames * tokens) for _ in range(2 * size.layers)],
    }
