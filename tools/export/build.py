"""Every graph of a profile: what is traced, on which sizes it is checked, and what the server will say of it."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel

from tools.export import encoders, graph, stamp, transformer, vae
from tools.export.profile import Profile

LATENT_SIZES = ((16, 28), (28, 16), (20, 20))
"""Latent heights and widths on which graphs are checked: 128x224, 224x128 and 160x160 pixels."""


@dataclass(frozen=True)
class Models:
    """The modules of a profile, in torch; the same profile gives the same weights."""

    text_encoder: encoders.TextEncoder
    image_encoder: encoders.ImageEncoder
    vae: AutoencoderKLWan
    transformer: WanTransformer3DModel

    @classmethod
    def of(cls, profile: Profile) -> "Models":
        """Draws them; takes about a second."""
        return cls(
            text_encoder=encoders.text_encoder(profile),
            image_encoder=encoders.image_encoder(profile),
            vae=vae.vae(profile),
            transformer=transformer.transformer(profile),
        )

    @property
    def parameters(self) -> int:
        """How many numbers the models hold, all together."""
        parts = (self.text_encoder, self.image_encoder, self.vae, self.transformer)
        return sum(weight.numel() for part in parts for weight in part.parameters())


def build(profile: Profile, repository: Path, say: Callable[[str], None]) -> str:
    """Builds the profile into the repository and returns its digest; every step is told to `say`.

    Raises:
        ExportError: a graph does not compute what torch computes; the stamp is then not written.
    """
    models = Models.of(profile)
    say(f"{models.parameters / 1e6:.1f} million parameters")
    (repository / stamp.STAMP).unlink(missing_ok=True)
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    for file, arguments in graphs(profile, models, generator).items():
        began = time.monotonic()
        difference = graph.export(path=repository / file, **arguments)
        size = (repository / file).stat().st_size / 1e6
        say(f"{file:28}{size:6.1f} MB  differs from torch by {difference:.1e}  {time.monotonic() - began:5.1f} s")
    digest = stamp.write(repository, profile, served(profile, models.parameters))
    say(f"digest {digest[:16]}")
    return digest


def served(profile: Profile, parameters: int) -> dict[str, Any]:
    """What the model `profile` answers with, but for the digest."""
    return {
        "name": profile.name,
        "trained": False,
        "parameters": parameters,
        "fps": profile.fps,
        "spatial_factor": 8,
        "temporal_factor": 4,
        "latent_channels": profile.vae.channels,
        "block_latents": profile.schedule.block_latents,
        "max_latents": profile.schedule.max_latents,
        "text_length": profile.text_encoder.length,
        "text_dim": profile.text_encoder.width,
        "tokenizer": "bytes",
        "clip_size": profile.image_encoder.size,
        "clip_mean": encoders.CLIP_MEAN,
        "clip_std": encoders.CLIP_STD,
        "steps": len(profile.schedule.timesteps),
        "shift": profile.schedule.shift,
    }


def graphs(profile: Profile, models: Models, generator: torch.Generator) -> dict[str, dict[str, Any]]:
    """For each file, the arguments of graph.export."""

    def picture(height: int, width: int) -> torch.Tensor:
        return torch.rand(1, 3, height, width, generator=generator) * 2 - 1

    def latent(height: int, width: int) -> torch.Tensor:
        return torch.randn(1, profile.vae.channels, 1, height, width, generator=generator)

    side = profile.image_encoder.size
    prompts = [
        encoders.tokenize(text, profile.text_encoder.length) for text in ("a cat walks on the beach", "", "rain" * 99)
    ]
    context, block = transformer.Context(models.transformer), transformer.Block(models.transformer)
    layers = profile.transformer.layers
    keys_and_values = [f"{kind}_{layer}" for layer in range(layers) for kind in ("key", "value")]
    cross = [f"{of}_{kind}_{layer}" for layer in range(layers) for of in ("text", "image") for kind in ("key", "value")]
    first, later = vae.FirstDecoder(models.vae), vae.NextDecoder(models.vae)
    caches = [f"cache_{index}" for index in range(vae.convolutions(models.vae))]

    def after_first(height: int, width: int) -> dict[str, Any]:
        with torch.no_grad():
            _, *cache = first(latent(height, width))
        return {"latent": latent(height, width), "caches": cache}

    return {
        "text_encoder/1/model.onnx": {
            "module": models.text_encoder,
            "examples": [
                {"input_ids": torch.tensor([ids]), "attention_mask": torch.tensor([mask])} for ids, mask in prompts
            ],
            "inputs": ["input_ids", "attention_mask"],
            "outputs": ["embeddings"],
            "dynamic": {},
        },
        "image_encoder/1/model.onnx": {
            "module": models.image_encoder,
            "examples": [{"pixels": picture(side, side)} for _ in range(2)],
            "inputs": ["pixels"],
            "outputs": ["tokens"],
            "dynamic": {},
        },
        "vae_encoder/1/model.onnx": {
            "module": vae.Encoder(models.vae),
            "examples": [{"pixels": picture(8 * height, 8 * width)} for height, width in LATENT_SIZES],
            "inputs": ["pixels"],
            "outputs": ["latent"],
            "dynamic": {"pixels": (2, 3)},
        },
        "transformer/1/context.onnx": {
            "module": context,
            "examples": [context_example(profile, models, text) for text in ("a cat", "a dog runs through the rain")],
            "inputs": ["prompt_embeddings", "image_tokens"],
            "outputs": cross,
            "dynamic": {},
        },
        "transformer/1/block.onnx": {
            "module": block,
            "examples": [
                transformer.example(profile, frames=frames, height=height, width=width, past_frames=past)
                for frames, past, (height, width) in (
                    (2, 3, (16, 28)),
                    (1, 0, (28, 16)),
                    (2, 1, (20, 20)),
                    (2, 19, (16, 28)),
                )
            ],
            "inputs": ["latents", "timesteps", "cos", "sin", *cross, *(f"past_{name}" for name in keys_and_values)],
            "outputs": ["flow", *(f"new_{name}" for name in keys_and_values)],
            "dynamic": {"latents": (2, 3, 4), "timesteps": (0,), "cos": (0,), "sin": (0,), "past": (2,)},
            "metadata": {
                "block_latents": profile.schedule.block_latents,
                "max_latents": profile.schedule.max_latents,
                "timesteps": profile.schedule.warped,
            },
        },
        "vae_decoder/1/first.onnx": {
            "module": first,
            "examples": [{"latent": latent(height, width)} for height, width in LATENT_SIZES],
            "inputs": ["latent"],
            "outputs": ["frames", *(f"new_{name}" for name in caches)],
            "dynamic": {"latent": (3, 4)},
        },
        "vae_decoder/1/next.onnx": {
            "module": later,
            "examples": [after_first(height, width) for height, width in LATENT_SIZES],
            "inputs": ["latent", *caches],
            "outputs": ["frames", *(f"new_{name}" for name in caches)],
            "dynamic": {"latent": (3, 4), "caches": (3, 4)},
        },
    }


def context_example(profile: Profile, models: Models, text: str) -> dict[str, torch.Tensor]:
    """Inputs of transformer.Context: a prompt that is encoded, and a picture of noise that is."""
    ids, mask = encoders.tokenize(text, profile.text_encoder.length)
    side = profile.image_encoder.size
    with torch.no_grad():
        return {
            "prompt_embeddings": models.text_encoder(torch.tensor([ids]), torch.tensor([mask])),
            "image_tokens": models.image_encoder(torch.randn(1, 3, side, side)),
        }
