"""Trains the VAE: first on pictures, then on clips as long as those that it will decode.

A VAE trained on pictures alone decodes clips at 15 dB, and one trained on short clips lets colours drift after them.
"""

import math
from collections.abc import Mapping

import numpy as np
import torch
from diffusers import AutoencoderKLWan
from torch.nn import functional

from tools.nano import motion, training_pictures, whole_clip_vae

SHAKEN = 0.25
"""Share of the steps on pictures in which the latents are moved and the pixels must move the same way."""

NOISE = 0.1
"""Deviation of the noise on latents, so that the decoder tolerates a transformer's errors."""


def as_clip(pixels: training_pictures.Pixels) -> torch.Tensor:
    """A picture as (3, H, W) in [-1, 1]."""
    return torch.from_numpy(np.array(pixels, order="C")).permute(2, 0, 1).float() / 127.5 - 1


def size(rng: np.random.Generator, scale: float = 1) -> tuple[int, int]:
    """Height and width of one of nano's shapes."""
    shapes = ((128, 224), (128, 224), (224, 128), (160, 160))
    height, width = shapes[int(rng.integers(len(shapes)))]
    return int(height * scale) // 16 * 16, int(width * scale) // 16 * 16


def apart(made: torch.Tensor, wanted: torch.Tensor) -> dict[str, torch.Tensor]:
    """How clips differ: absolutely, squared, and in their edges; and the PSNR of it, in dB."""
    difference = made - wanted
    square = difference.square().mean()
    edges = (difference[..., 1:] - difference[..., :-1]).abs().mean()
    edges = edges + (difference[..., 1:, :] - difference[..., :-1, :]).abs().mean()
    loss = difference.abs().mean() + 2 * square + 0.5 * edges
    return {"loss": loss, "psnr": 10 * torch.log10(4 / square.detach())}


def moved(x: torch.Tensor, by: torch.Tensor) -> torch.Tensor:
    """Pictures or latents (B, c, y, x), sampled through affine maps (B, 2, 3)."""
    grid = functional.affine_grid(by, list(x.shape), align_corners=False)
    return functional.grid_sample(x, grid, mode="bicubic", padding_mode="reflection", align_corners=False)


def picture_loss(vae: AutoencoderKLWan, rng: np.random.Generator, count: int = 8) -> Mapping[str, torch.Tensor]:
    """Pictures through the VAE."""
    height, width = size(rng)
    clips = torch.stack([as_clip(training_pictures.picture(rng, height, width)) for _ in range(count)])
    latents = whole_clip_vae.encode(vae, clips.unsqueeze(1)).squeeze(1)
    spread = (latents.square().mean() - 1).square()
    if rng.random() < SHAKEN:
        # Latents that move as pictures do are what a transformer can move.
        scale = torch.exp(torch.randn(count) * 0.1)
        by = torch.zeros(count, 2, 3)
        by[:, 0, 0] = by[:, 1, 1] = scale
        by[:, :, 2] = (torch.rand(count, 2) - 0.5) * torch.tensor([24 / width, 24 / height]) * 2
        latents, clips = moved(latents, by), moved(clips, by).clamp(-1, 1)
    latents = latents + NOISE * torch.randn_like(latents)
    made = whole_clip_vae.decode(vae, latents.unsqueeze(1)).squeeze(1)
    losses = apart(made, clips)
    return {**losses, "loss": losses["loss"] + 0.01 * spread}


def clip_loss(vae: AutoencoderKLWan, rng: np.random.Generator) -> Mapping[str, torch.Tensor]:
    """A clip through the VAE: long and small, or short and whole."""
    long = rng.random() < 0.5
    height, width = size(rng, 0.5 if long else 1)
    frames = 1 + 4 * int(rng.integers(6, 13) if long else rng.integers(1, 4))
    picture = as_clip(training_pictures.picture(rng, height, width))
    clip = later_part(rng, picture, frames)
    with torch.autocast("cpu", torch.bfloat16):
        latents = whole_clip_vae.encode(vae, clip.unsqueeze(0))
        latents = latents + NOISE * torch.randn_like(latents)
        made = whole_clip_vae.decode(vae, latents).float()
    return apart(made.squeeze(0), clip)


def later_part(rng: np.random.Generator, picture: torch.Tensor, frames: int) -> torch.Tensor:
    """Some frames of a clip, (frames, 3, H, W), from its start or its middle, which are alike to a VAE."""
    how = random_motion(rng)
    start = int(rng.integers(0, motion.LAST + 2 - frames))
    return motion.clip(picture, how, start + frames)[start:]


def random_motion(rng: np.random.Generator) -> motion.Motion:
    """One kind of motion or two, at any pace."""
    kinds = rng.choice(len(motion.KINDS), size=1 + int(rng.random() < 0.3), replace=False)
    amounts = {motion.KINDS[kind]: float(rng.choice([-1, 1]) * math.exp(rng.normal() * 0.6)) for kind in kinds}
    return motion.Motion(**amounts)


def psnr(vae: AutoencoderKLWan, count: int = 50) -> float:
    """The mean PSNR of the test pictures, in dB, at 128x224."""
    found = []
    with torch.no_grad():
        for pixels in training_pictures.judging(128, 224, count):
            clip = as_clip(pixels)
            made = whole_clip_vae.decode(vae, whole_clip_vae.encode(vae, clip[None, None])).clamp(-1, 1)[0, 0]
            found.append(float(10 * torch.log10(4 / (made - clip).square().mean())))
    return float(np.mean(found))
