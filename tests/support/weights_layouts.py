"""Every layout that checkpoints come in, with a small module of its part and what writes a file of it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from tests.support import weights_files as files


@dataclass(frozen=True)
class Case:
    part: str
    layout: str
    make: Callable[..., nn.Module]
    write: Callable[[Path, files.State], Path]


SHARDED = "diffusion_pytorch_model.safetensors"
IMAGE = files.image_transformer
CASES = {
    "text encoder, diffusers": Case(
        "text_encoder", "diffusers", files.text_encoder, files.in_diffusers("text_encoder", "model", shards=3)
    ),
    "text encoder, Wan2.1": Case(
        "text_encoder",
        "wan2.1",
        files.text_encoder,
        files.official("models_t5_umt5-xxl-enc-bf16.pth", files.official_text_encoder),
    ),
    "image encoder, diffusers": Case(
        "image_encoder", "diffusers", files.image_encoder, files.in_diffusers("image_encoder", "model")
    ),
    "image encoder, older diffusers": Case(
        "image_encoder", "diffusers", files.image_encoder, files.older_image_encoder
    ),
    "image encoder, Wan2.1": Case(
        "image_encoder",
        "wan2.1",
        files.image_encoder,
        files.official("models_clip_open-clip-xlm-roberta-large-vit-huge-14.pth", files.official_image_encoder),
    ),
    "VAE, diffusers": Case("vae", "diffusers", files.vae, files.in_diffusers("vae")),
    "VAE, Wan2.1": Case("vae", "wan2.1", files.vae, files.official("Wan2.1_VAE.pth", files.official_vae)),
    "transformer, diffusers": Case("transformer", "diffusers", files.transformer, files.in_diffusers("transformer")),
    "transformer, diffusers in shards": Case(
        "transformer", "diffusers", IMAGE, files.in_diffusers("transformer", shards=4)
    ),
    "transformer, Wan2.1": Case(
        "transformer", "wan2.1", files.transformer, files.official(SHARDED, files.official_transformer)
    ),
    "transformer, Wan2.1 in shards": Case(
        "transformer", "wan2.1", IMAGE, files.official(SHARDED, files.official_transformer, shards=3)
    ),
    "transformer, Self-Forcing": Case(
        "transformer", "self-forcing", files.transformer, files.self_forcing("generator_ema", "generator", "critic")
    ),
    "transformer, Self-Forcing without average": Case(
        "transformer", "self-forcing", files.transformer, files.self_forcing("generator", "critic")
    ),
    "transformer, Self-Forcing with FSDP's names": Case(
        "transformer",
        "self-forcing",
        files.transformer,
        files.self_forcing("generator_ema", leftover="_fsdp_wrapped_module._checkpoint_wrapped_module._orig_mod."),
    ),
    "transformer, Self-Forcing bare": Case("transformer", "self-forcing", files.transformer, files.self_forcing()),
    "tiny VAE, TAEHV": Case("tiny_vae", "taehv", files.tiny_vae, files.taehv),
}
