"""The transformer: WanTransformer3DModel made causal from outside, as two graphs.

`context` runs once a video: it projects prompt and picture to the keys and values of every cross-attention. `block` is
one forward over the latents of one block: it writes their keys and values into the caches that it is given, and attends
to all that is in them.

The modules are the library's; only the attention processors are ours. Rotary table and waves of the timestep are
inputs, so that frames have their absolute positions and both can be computed in float64. Keys and values keep their
heads side by side, (tokens, heads * width): so the first frames of a cache are a prefix of its memory, and a runtime
that binds a cache's input and output to the same place has nothing copied.
"""

from collections.abc import Iterator
from typing import Any, cast

import torch
from diffusers import WanTransformer3DModel
from diffusers.models.transformers.transformer_wan import WanAttention

from tools.export.artefact import Artefact, Document, Tensors
from tools.export.graph import DTYPES, Graph
from tools.export.module_weights import ModuleWeights
from tools.export.profile_file import Profile
from tools.export.transformer_settings import settings_of

KeyValue = tuple[torch.Tensor, torch.Tensor]  # each (1, tokens, heads * width)


def rotate(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, heads: int) -> torch.Tensor:
    """Turns each pair of neighbours in (1, tokens, heads * width) by its angle, FP32 (tokens, width / 2), in FP32."""
    even, odd = x.float().unflatten(2, (heads, -1, 2)).unbind(-1)  # (1, tokens, heads, width / 2) each
    cos, sin = cos.unsqueeze(1), sin.unsqueeze(1)
    return torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1).flatten(2).type_as(x)


def attend(query: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, heads: int) -> torch.Tensor:
    """Attention over (1, tokens, heads * width), as one node that takes the heads side by side."""
    out: torch.Tensor = torch.onnx.ops.attention(query, keys, values, q_num_heads=heads, kv_num_heads=heads)[0]
    return out


def written(cache: torch.Tensor, places: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """The cache, (tokens, dim), with rows put into their places."""
    if not torch.onnx.is_in_onnx_export():
        return cache.index_copy(0, places, rows)
    # The exporter would make five nodes of it, some of which copy; this one writes in place where memory is bound so.
    inputs = (cache, places.unsqueeze(1), rows)
    out: torch.Tensor = torch.onnx.ops.symbolic("ScatterND", inputs, dtype=cache.dtype, shape=cache.shape, version=18)
    return out


class SelfAttention:
    """A processor that puts the new keys and values into the caches and attends to all of them."""

    places: torch.Tensor
    caches: KeyValue  # before, then after: each (tokens, heads * width)

    def __call__(
        self,
        attn: WanAttention,
        x: torch.Tensor,
        _context: None,
        _mask: None,
        rotary: tuple[torch.Tensor, torch.Tensor],
    ) -> torch.Tensor:
        """(1, tokens, dim) -> (1, tokens, dim)."""
        query = rotate(attn.norm_q(attn.to_q(x)), *rotary, attn.heads)
        new = rotate(attn.norm_k(attn.to_k(x)), *rotary, attn.heads), attn.to_v(x)
        keys, values = (
            written(cache, self.places, rows.squeeze(0)) for cache, rows in zip(self.caches, new, strict=True)
        )
        self.caches = keys, values
        out: torch.Tensor = attn.to_out[0](attend(query, keys.unsqueeze(0), values.unsqueeze(0), attn.heads))
        return out


class CrossAttention:
    """A processor over the keys and values that `context` made: of the prompt and, added to it, of the picture."""

    def __call__(
        self, attn: WanAttention, x: torch.Tensor, context: tuple[KeyValue, ...], _mask: None, _rotary: None
    ) -> torch.Tensor:
        """(1, tokens, dim) -> (1, tokens, dim)."""
        query = attn.norm_q(attn.to_q(x))
        text, *image = (attend(query, *each, attn.heads) for each in context)
        out: torch.Tensor = attn.to_out[0](sum(image, start=text))
        return out


class Context(torch.nn.Module):  # type: ignore[misc]
    """What the forwards of a video attend to besides its latents."""

    def __init__(self, model: WanTransformer3DModel) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, prompt_embeddings: torch.Tensor, image_tokens: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, ...]:
        """Prompt and, where the model attends to one, picture -> for each layer the text's key and value, the image's.

        FP32 (1, L, D) and (1, T, D') -> (1, L or T, heads * width) each. A picture that is not there is zeros in both
        of its tensors, for attention over zero values adds nothing.
        """
        embedder = self.model.condition_embedder
        dtype = self.model.patch_embedding.weight.dtype
        text = embedder.text_embedder(prompt_embeddings.to(dtype))
        image = None if image_tokens is None else embedder.image_embedder(image_tokens.to(dtype))
        out: list[torch.Tensor] = []
        for block in self.model.blocks:
            attn = cast(WanAttention, block.attn2)
            out += attn.norm_k(attn.to_k(text)), attn.to_v(text)
            if image is not None:
                out += attn.norm_added_k(attn.add_k_proj(image)), attn.add_v_proj(image)
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
        waves: torch.Tensor,
        cos: torch.Tensor,
        sin: torch.Tensor,
        places: torch.Tensor,
        context: list[torch.Tensor],
        caches: list[torch.Tensor],
    ) -> tuple[torch.Tensor, ...]:
        """The flow, noise minus clean, FP32 (1, C, F, h, w); then each layer's key and value cache, shaped as `caches`.

        `latents` FP32 (1, C, F, h, w); `waves` FP32 (1, time width), the sinusoidal embedding of the timestep of all of
        them; `cos`, `sin` FP32 (F * h/2 * w/2, width / 2), the rotary table; `places` INT64 (F * h/2 * w/2,), the rows
        of the caches for the new tokens; `context` as Context makes it; `caches` each layer's keys, rotated, and
        values, (earlier and new tokens, heads * width).
        """
        model = self.model
        _, _, frames, height, width = latents.shape
        dtype = model.patch_embedding.weight.dtype
        x = model.patch_embedding(latents.to(dtype)).flatten(2).transpose(1, 2)  # (1, tokens, dim)
        embedder = model.condition_embedder
        time = embedder.time_embedder(waves).to(dtype)  # (1, dim)
        modulation = embedder.time_proj(embedder.act_fn(time)).unflatten(1, (6, -1))  # (1, 6, dim)
        after: list[torch.Tensor] = []
        pairs = list(zip(context[::2], context[1::2], strict=True))
        of_layer = len(pairs) // len(model.blocks)
        for layer, block in enumerate(model.blocks):
            attention = self.attentions[layer]
            attention.places, attention.caches = places, (caches[2 * layer], caches[2 * layer + 1])
            x = block(x, tuple(pairs[of_layer * layer : of_layer * (layer + 1)]), modulation, (cos, sin))
            after += attention.caches
        shift, scale = (model.scale_shift_table + time.unsqueeze(1)).chunk(2, dim=1)  # (1, 1, dim) each
        x = model.proj_out((model.norm_out(x.float()) * (1 + scale) + shift).to(dtype))  # (1, tokens, 4 * C)
        x = x.unflatten(2, (2, 2, -1)).unflatten(1, (frames, height // 2, width // 2))
        flow = x.permute(0, 6, 1, 2, 4, 3, 5).flatten(5, 6).flatten(3, 4)
        return flow.float(), *after


def transformer(profile: Profile, filling: ModuleWeights) -> WanTransformer3DModel:
    """The profile's transformer."""
    made = filling.module("transformer", lambda: fresh(profile), dtype=torch.float32)
    return in_precision(made, DTYPES[profile.engine.precision])


def fresh(profile: Profile) -> WanTransformer3DModel:
    """A transformer of the profile's sizes, as the library starts it."""
    size, image = profile.transformer, profile.image_encoder
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


def in_precision(model: WanTransformer3DModel, dtype: torch.dtype) -> WanTransformer3DModel:
    """The model with its weights in `dtype`, but for those that the library keeps in FP32: norms, time, modulation."""
    kept = set(model._keep_in_fp32_modules)
    for name, parameter in model.named_parameters():
        if kept.isdisjoint(name.split(".")):
            parameter.data = parameter.data.to(dtype)
    return model


def graphs(profile: Profile, filling: ModuleWeights) -> Iterator[Artefact]:
    """The two graphs, or the weights for the runtime that needs no graph; and what the rollout has to know."""
    made = transformer(profile, filling)
    if profile.engine.runtime == "torch":
        yield Tensors(file="transformer/1/weights.safetensors", tensors=made.state_dict())
        yield settings(profile)
        return
    layers, image = range(profile.transformer.layers), profile.image_encoder
    caches = [f"{kind}_{layer}" for layer in layers for kind in ("key", "value")]
    sources = ("text",) if image is None else ("text", "image")
    cross = [f"{of}_{kind}_{layer}" for layer in layers for of in sources for kind in ("key", "value")]
    read = {"prompt_embeddings": (1, profile.text_encoder.length, profile.text_encoder.width)}
    if image is not None:
        read["image_tokens"] = (1, image.tokens, image.width)
    yield Graph(
        file="transformer/1/context.onnx",
        module=Context(made),
        examples=[{name: torch.randn(shape) for name, shape in read.items()} for _ in range(2)],
        inputs=list(read),
        outputs=cross,
        precision=profile.engine.precision,
    )
    yield Graph(
        file="transformer/1/block.onnx",
        module=Block(made),
        examples=[
            example(profile, frames=frames, height=height, width=width, past_frames=past)
            for frames, past, (height, width) in (
                (2, 3, (16, 28)),
                (1, 0, (28, 16)),
                (2, 1, (20, 20)),
                (2, 19, (16, 28)),
            )
        ],
        inputs=["latents", "waves", "cos", "sin", "places", *cross, *caches],
        outputs=["flow", *(f"{name}_after" for name in caches)],
        dynamic={"latents": (2, 3, 4), "cos": (0,), "sin": (0,), "places": (0,), "caches": (0,)},
        precision=profile.engine.precision,
    )
    yield settings(profile)


def settings(profile: Profile) -> Document:
    """`settings.json`: what the loop has to know beside the weights."""
    return Document(file="transformer/1/settings.json", content=settings_of(profile))


def example(profile: Profile, *, frames: int, height: int, width: int, past_frames: int) -> dict[str, Any]:
    """Random inputs of Block for latents of `height` x `width` after `past_frames` earlier frames."""
    size, dtype = profile.transformer, DTYPES[profile.engine.precision]
    new, dim = frames * height * width // 4, size.heads * size.head_width
    total = new + past_frames * height * width // 4
    angles = 2 * torch.pi * torch.rand(new, size.head_width // 2)
    lengths = [profile.text_encoder.length] * 2
    if profile.image_encoder is not None:
        lengths += [profile.image_encoder.tokens] * 2
    return {
        "latents": torch.randn(1, profile.vae.channels, frames, height, width),
        "waves": torch.randn(1, size.time_width).sin(),
        "cos": angles.cos(),
        "sin": angles.sin(),
        "places": torch.randperm(total)[:new],
        "context": [torch.randn(1, length, dim, dtype=dtype) for _ in range(size.layers) for length in lengths],
        "caches": [torch.randn(total, dim, dtype=dtype) for _ in range(2 * size.layers)],
    }
