"""The parts of WanTransformer3DModel that both pipelines export: weights, attention over a prompt, ends of a forward.

`context` runs once a video: it projects prompt and picture to the keys and values of every cross-attention. The modules
are the library's; only the attention processors are ours. Keys and values keep their heads next to each other,
(tokens, heads * width).
"""

from typing import cast

import torch
from diffusers import WanTransformer3DModel
from diffusers.models.transformers.transformer_wan import WanAttention

from tools.export.artefact import Document, Tensors
from tools.export.graph import DTYPES, Graph
from tools.export.module_weights import ModuleWeights
from tools.export.profile import Profile
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


def embedded(
    model: WanTransformer3DModel, latents: torch.Tensor, waves: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Latents and the sinusoidal embedding of their timestep -> tokens, time (1, dim), modulation (1, 6, dim)."""
    dtype = model.patch_embedding.weight.dtype
    x = model.patch_embedding(latents.to(dtype)).flatten(2).transpose(1, 2)  # (1, tokens, dim)
    embedder = model.condition_embedder
    time = embedder.time_embedder(waves).to(dtype)
    return x, time, embedder.time_proj(embedder.act_fn(time)).unflatten(1, (6, -1))


def layer_contexts(model: WanTransformer3DModel, context: list[torch.Tensor]) -> list[tuple[KeyValue, ...]]:
    """Splits what Context makes by layer: the text's key and value and, if there is one, the picture's."""
    pairs = list(zip(context[::2], context[1::2], strict=True))
    of_layer = len(pairs) // len(model.blocks)
    return [tuple(pairs[of_layer * layer : of_layer * (layer + 1)]) for layer in range(len(model.blocks))]


def flow_of(
    model: WanTransformer3DModel, x: torch.Tensor, time: torch.Tensor, size: tuple[int, int, int]
) -> torch.Tensor:
    """Tokens after the last layer -> the flow, noise minus clean, FP32 (1, C, F, h, w) of `size` (F, h, w)."""
    frames, height, width = size
    shift, scale = (model.scale_shift_table + time.unsqueeze(1)).chunk(2, dim=1)  # (1, 1, dim) each
    x = model.proj_out((model.norm_out(x.float()) * (1 + scale) + shift).to(model.patch_embedding.weight.dtype))
    x = x.unflatten(2, (2, 2, -1)).unflatten(1, (frames, height // 2, width // 2))  # of (1, tokens, 4 * C)
    return x.permute(0, 6, 1, 2, 4, 3, 5).flatten(5, 6).flatten(3, 4).float()


def transformer(profile: Profile, module_weights: ModuleWeights) -> WanTransformer3DModel:
    """The profile's transformer."""
    made = module_weights.module("transformer", lambda: fresh(profile), dtype=torch.float32)
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


def context_shapes(profile: Profile) -> dict[str, tuple[int, ...]]:
    """The inputs of Context by name."""
    shapes: dict[str, tuple[int, ...]] = {
        "prompt_embeddings": (1, profile.text_encoder.length, profile.text_encoder.width)
    }
    if profile.image_encoder is not None:
        shapes["image_tokens"] = (1, profile.image_encoder.tokens, profile.image_encoder.width)
    return shapes


def context_names(profile: Profile) -> list[str]:
    """The outputs of Context by name, layer by layer."""
    sources = ("text",) if profile.image_encoder is None else ("text", "image")
    layers = range(profile.transformer.layers)
    return [f"{of}_{kind}_{layer}" for layer in layers for of in sources for kind in ("key", "value")]


def context_graph(profile: Profile, model: WanTransformer3DModel) -> Graph:
    """The graph of Context."""
    shapes = context_shapes(profile)
    return Graph(
        file="transformer/1/context.onnx",
        module=Context(model),
        examples=[{name: torch.randn(shape) for name, shape in shapes.items()} for _ in range(2)],
        inputs=list(shapes),
        outputs=context_names(profile),
        precision=profile.engine.precision,
    )


def weights(model: WanTransformer3DModel) -> Tensors:
    """The weights alone, for the runtime that needs no graph."""
    return Tensors(file="transformer/1/weights.safetensors", tensors=model.state_dict())


def settings(profile: Profile) -> Document:
    """`settings.json`: what the loop has to know beside the weights."""
    return Document(file="transformer/1/settings.json", content=settings_of(profile))
