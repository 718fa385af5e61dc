"""The transformer of the bidirectional pipeline: WanTransformer3DModel as it is, as two graphs.

`context` is in `wan_transformer`; it runs once for each prompt.
`denoise` is one forward over all latent frames of a video, each of which attends to all others.

The modules are the library's; only the attention processors are ours. Rotary table and waves of the timestep are
inputs, so that both can be computed in float64, as the models' authors do.
"""

from collections.abc import Iterator
from typing import Any

import torch
from diffusers import WanTransformer3DModel
from diffusers.models.transformers.transformer_wan import WanAttention

from tools.export import wan_transformer
from tools.export.artefact import Artefact
from tools.export.graph import Graph
from tools.export.module_weights import ModuleWeights
from tools.export.profile import Profile

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
        query = wan_transformer.rotate(attn.norm_q(attn.to_q(x)), *rotary, attn.heads)
        keys = wan_transformer.rotate(attn.norm_k(attn.to_k(x)), *rotary, attn.heads)
        out: torch.Tensor = attn.to_out[0](wan_transformer.attend(query, keys, attn.to_v(x), attn.heads))
        return out


class Denoise(torch.nn.Module):  # type: ignore[misc]
    """One forward over a whole video. Takes the model over: its attention processors are replaced."""

    def __init__(self, model: WanTransformer3DModel) -> None:
        super().__init__()
        self.model = model
        for block in model.blocks:
            block.attn1.set_processor(SelfAttention())
            block.attn2.set_processor(wan_transformer.CrossAttention())

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
        as wan_transformer.Context makes it.
        """
        x, time, modulation = wan_transformer.embedded(self.model, latents, waves)
        for block, context_of_layer in zip(
            self.model.blocks, wan_transformer.layer_contexts(self.model, context), strict=True
        ):
            x = block(x, context_of_layer, modulation, (cos, sin))
        return wan_transformer.flow_of(self.model, x, time, latents.shape[2:])


def graphs(profile: Profile, module_weights: ModuleWeights) -> Iterator[Artefact]:
    """The two graphs, or the weights for the runtime that needs no graph; and the settings of the loop."""
    made = wan_transformer.transformer(profile, module_weights)
    if profile.engine.runtime == "torch":
        yield wan_transformer.weights(made)
        yield wan_transformer.settings(profile)
        return
    size, shapes = profile.transformer, wan_transformer.context_shapes(profile)
    context = wan_transformer.context_graph(profile, made)
    yield context

    def example(frames: int, height: int, width: int) -> dict[str, Any]:
        tokens = frames * height * width // 4
        angles = 2 * torch.pi * torch.rand(tokens, size.head_width // 2)
        with torch.no_grad():
            keys_and_values = context.module(**{name: torch.randn(shape) for name, shape in shapes.items()})
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
        inputs=["latents", "waves", "cos", "sin", *wan_transformer.context_names(profile)],
        outputs=["flow"],
        dynamic={"latents": (2, 3, 4), "cos": (0,), "sin": (0,)},
        precision=profile.engine.precision,
    )
    yield wan_transformer.settings(profile)
