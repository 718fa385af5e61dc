"""The transformer of the bidirectional pipeline: WanTransformer3DModel as it is, as two graphs.

`context` runs once for each prompt: it projects prompt and picture to the keys and values of every cross-attention.
`denoise` is one forward over all latent frames of a video, each of which attends to all others.

The modules are the library's; only the attention processors are ours. Rotary table and waves of the timestep are
inputs, so that both can be computed in float64, as the models' authors do.
"""

from collections.abc import Iterator
from typing import Any

import torch
from diffusers import WanTransformer3DModel
from diffusers.models.transformers.transformer_wan import WanAttention

from tools.export import causal_transformer
from tools.export.artefact import Artefact
from tools.export.graph import Graph
from tools.export.module_weights import ModuleWeights
from tools.export.profile_file import Profile

SIZES = ((3, 16, 28), (1, 28, 16), (5, 8, 8))
"""Latent frames, heights and widths on which the graph is checked."""


class SelfAttention:
    """A processor by which every token attends to every other."""

    def __call__(
        self,
        attn: WanAttention,
        x: torch.Tensor,
        _context: None,
        _mask: None,
        rotary: tuple[torch.Tensor, torch.Tensor],
    ) -> torch.Tensor:
        """(1, tokens, dim) -> (1, tokens, dim)."""
        query = causal_transformer.rotate(attn.norm_q(attn.to_q(x)), *rotary, attn.heads)
        keys = causal_transformer.rotate(attn.norm_k(attn.to_k(x)), *rotary, attn.heads)
        out: torch.Tensor = attn.to_out[0](causal_transformer.attend(query, keys, attn.to_v(x), attn.heads))
        return out


class Denoise(torch.nn.Module):  # type: ignore[misc]
    """One forward over a whole video. Takes the model over: its attention processors are replaced."""

    def __init__(self, model: WanTransformer3DModel) -> None:
        super().__init__()
        self.model = model
        for block in model.blocks:
            block.attn1.set_processor(SelfAttention())
            block.attn2.set_processor(causal_transformer.CrossAttention())

    def forward(
        self,
        latents: torch.Tensor,
        waves: torch.Tensor,
        cos: torch.Tensor,
        sin: torch.Tensor,
        context: list[torch.Tensor],
    ) -> torch.Tensor:
        """The flow, noise minus clean, FP32 (1, C, F, h, w).

        `latents` FP32 (1, C + condition channels, F, h, w), the noisy ones first; `waves` FP32 (1, time width), the
        sinusoidal embedding of the timestep; `cos`, `sin` FP32 (F * h/2 * w/2, width / 2), the rotary table; `context`
        as transformer.Context makes it.
        """
        model = self.model
        _, _, frames, height, width = latents.shape
        dtype = model.patch_embedding.weight.dtype
        x = model.patch_embedding(latents.to(dtype)).flatten(2).transpose(1, 2)  # (1, tokens, dim)
        embedder = model.condition_embedder
        time = embedder.time_embedder(waves).to(dtype)  # (1, dim)
        modulation = embedder.time_proj(embedder.act_fn(time)).unflatten(1, (6, -1))  # (1, 6, dim)
        pairs = list(zip(context[::2], context[1::2], strict=True))
        of_layer = len(pairs) // len(model.blocks)
        for layer, block in enumerate(model.blocks):
            x = block(x, tuple(pairs[of_layer * layer : of_layer * (layer + 1)]), modulation, (cos, sin))
        shift, scale = (model.scale_shift_table + time.unsqueeze(1)).chunk(2, dim=1)  # (1, 1, dim) each
        x = model.proj_out((model.norm_out(x.float()) * (1 + scale) + shift).to(dtype))  # (1, tokens, 4 * C)
        x = x.unflatten(2, (2, 2, -1)).unflatten(1, (frames, height // 2, width // 2))
        return x.permute(0, 6, 1, 2, 4, 3, 5).flatten(5, 6).flatten(3, 4).float()


def graphs(profile: Profile, filling: ModuleWeights) -> Iterator[Artefact]:
    """The two graphs, or the weights for the runtime that needs no graph; and what the loop has to know."""
    if profile.engine.runtime == "torch":
        yield from causal_transformer.graphs(profile, filling)  # weights have no direction
        return
    made = causal_transformer.transformer(profile, filling)
    size, image = profile.transformer, profile.image_encoder
    sources = ("text",) if image is None else ("text", "image")
    cross = [f"{of}_{kind}_{layer}" for layer in range(size.layers) for of in sources for kind in ("key", "value")]
    read = {"prompt_embeddings": (1, profile.text_encoder.length, profile.text_encoder.width)}
    if image is not None:
        read["image_tokens"] = (1, image.tokens, image.width)
    context = Graph(
        file="transformer/1/context.onnx",
        module=causal_transformer.Context(made),
        examples=[{name: torch.randn(shape) for name, shape in read.items()} for _ in range(2)],
        inputs=list(read),
        outputs=cross,
        precision=profile.engine.precision,
    )
    yield context

    def example(frames: int, height: int, width: int) -> dict[str, Any]:
        tokens = frames * height * width // 4
        angles = 2 * torch.pi * torch.rand(tokens, size.head_width // 2)
        with torch.no_grad():
            keys_and_values = context.module(**{name: torch.randn(shape) for name, shape in read.items()})
        return {
            "latents": torch.randn(1, profile.vae.channels + size.condition_channels, frames, height, width),
            "waves": torch.randn(1, size.time_width).sin(),
            "cos": angles.cos(),
            "sin": angles.sin(),
            "context": list(keys_and_values),
        }

    yield Graph(
        file="transformer/1/denoise.onnx",
        module=Denoise(made),
        examples=[example(*each) for each in SIZES],
        inputs=["latents", "waves", "cos", "sin", *cross],
        outputs=["flow"],
        dynamic={"latents": (2, 3, 4), "cos": (0,), "sin": (0,)},
        precision=profile.engine.precision,
    )
    yield causal_transformer.settings(profile)
