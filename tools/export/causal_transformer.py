"""The transformer of the causal pipeline: WanTransformer3DModel made causal from outside, as two graphs.

`context` is in `wan_transformer`. `block` is one forward over the latents of one block: it writes their keys and values
into the KV caches that are its inputs, and attends to all of them.

Rotary table and waves of the timestep are inputs, so that frames have their absolute positions and both can be computed
in float64. The first frames of a cache are a prefix of its memory, and a runtime that binds a cache's input and output
to the same memory copies nothing.
"""

from collections.abc import Iterator
from typing import Any

import torch
from diffusers import WanTransformer3DModel
from diffusers.models.transformers.transformer_wan import WanAttention

from tools.export import wan_transformer
from tools.export.artefact import Artefact
from tools.export.graph import DTYPES, Graph
from tools.export.module_weights import ModuleWeights
from tools.export.profile import Profile


def with_rows(cache: torch.Tensor, places: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """The cache, (tokens, dim), with `rows` written at `places`."""
    if not torch.onnx.is_in_onnx_export():
        return cache.index_copy(0, places, rows)
    # The exporter would make five nodes of it, some of which copy; this one writes in place if input and output are
    # bound to the same memory.
    inputs = (cache, places.unsqueeze(1), rows)
    out: torch.Tensor = torch.onnx.ops.symbolic("ScatterND", inputs, dtype=cache.dtype, shape=cache.shape, version=18)
    return out


class SelfAttention:
    """A processor that writes the new keys and values into the caches and attends to all of them."""

    places: torch.Tensor
    caches: wan_transformer.KeyValue  # before, then after: each (tokens, heads * width)

    def __call__(
        self,
        attn: WanAttention,
        x: torch.Tensor,
        _context: None,
        _mask: None,
        rotary: tuple[torch.Tensor, torch.Tensor],
    ) -> torch.Tensor:
        """(1, tokens, dim) -> (1, tokens, dim)."""
        query = wan_transformer.rotate(attn.norm_q(attn.to_q(x)), *rotary, attn.heads)
        new = wan_transformer.rotate(attn.norm_k(attn.to_k(x)), *rotary, attn.heads), attn.to_v(x)
        keys, values = (
            with_rows(cache, self.places, rows.squeeze(0)) for cache, rows in zip(self.caches, new, strict=True)
        )
        self.caches = keys, values
        out: torch.Tensor = attn.to_out[0](
            wan_transformer.attend(query, keys.unsqueeze(0), values.unsqueeze(0), attn.heads)
        )
        return out


class Block(torch.nn.Module):  # type: ignore[misc]
    """One forward over the latent frames of a block. Takes the model over: its attention processors are replaced."""

    def __init__(self, model: WanTransformer3DModel) -> None:
        super().__init__()
        self.model = model
        self.attentions = [SelfAttention() for _ in model.blocks]
        for block, attention in zip(model.blocks, self.attentions, strict=True):
            block.attn1.set_processor(attention)
            block.attn2.set_processor(wan_transformer.CrossAttention())

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
        x, time, modulation = wan_transformer.embedded(self.model, latents, waves)
        after: list[torch.Tensor] = []
        contexts = wan_transformer.layer_contexts(self.model, context)
        for layer, (block, attention) in enumerate(zip(self.model.blocks, self.attentions, strict=True)):
            attention.places, attention.caches = places, (caches[2 * layer], caches[2 * layer + 1])
            x = block(x, contexts[layer], modulation, (cos, sin))
            after += attention.caches
        return wan_transformer.flow_of(self.model, x, time, latents.shape[2:]), *after


def graphs(profile: Profile, module_weights: ModuleWeights) -> Iterator[Artefact]:
    """The two graphs, or the weights for the runtime that needs no graph; and the settings of the rollout."""
    made = wan_transformer.transformer(profile, module_weights)
    if profile.engine.runtime == "torch":
        yield wan_transformer.weights(made)
        yield wan_transformer.settings(profile)
        return
    caches = [f"{kind}_{layer}" for layer in range(profile.transformer.layers) for kind in ("key", "value")]
    yield wan_transformer.context_graph(profile, made)
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
        inputs=["latents", "waves", "cos", "sin", "places", *wan_transformer.context_names(profile), *caches],
        outputs=["flow", *(f"{name}_after" for name in caches)],
        dynamic={"latents": (2, 3, 4), "cos": (0,), "sin": (0,), "places": (0,), "caches": (0,)},
        precision=profile.engine.precision,
    )
    yield wan_transformer.settings(profile)


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
