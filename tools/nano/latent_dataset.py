"""Clips as the transformer is trained on them: encoded once, kept in files, drawn from again and again."""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKLWan
from safetensors import safe_open
from safetensors.torch import save_file

from tools.nano import motion, training_pictures, whole_clip_vae
from tools.nano.captions import RequestedMotion, random_motion
from tools.nano.train_vae import as_clip

SHAPES = ((128, 224), (128, 224), (128, 224), (224, 128), (160, 160))
"""Heights and widths in pixels, by turns."""

CLIPS = 8
"""Of a file."""

RUNS = ((15, motion.LAST + 1), (90, 25), (40, motion.LAST + 1), (150, 25), (400, 9))
"""How many files come of clips of how many frames: whole ones, what three blocks take, and first blocks alone.

Over the first two runs alone the loss on new clips came to stand at one and a half times that on known ones; first
blocks show new pictures at the least cost.
"""

SOFT = 24
"""Pictures of a file from which a text alone is taught: colours that flow into one another."""


@dataclass(frozen=True)
class Shard:
    """Clips of one shape."""

    latents: torch.Tensor
    """FP16 (clips, 21, 7 or 3, C, h, w), normalised."""
    pictures: torch.Tensor
    """UINT8 (clips, 3, H, W): the first frames."""
    soft: torch.Tensor
    """FP16 (pictures, 1, C, h, w)."""
    motions: tuple[RequestedMotion, ...]


@torch.no_grad()  # type: ignore[untyped-decorator]
def statistics(vae: AutoencoderKLWan, seed: int, count: int = 24) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and deviation of each channel of the latents, (C,) each, over clips."""
    rng = np.random.default_rng((seed, 1))
    found = []
    for _ in range(count):
        first = as_clip(training_pictures.picture(rng, 128, 224))
        clip = motion.clip(first, random_motion(rng).motion, 9)
        found.append(whole_clip_vae.encode(vae, clip.unsqueeze(0)).transpose(0, 2).flatten(1))
    every = torch.cat(found, dim=1)
    return every.mean(1), every.std(1)


@torch.no_grad()  # type: ignore[untyped-decorator]
def make(vae: AutoencoderKLWan, seed: int, index: int) -> Shard:
    """A file's worth of clips, by its number."""
    rng = np.random.default_rng((seed, 2, index))
    height, width = SHAPES[index % len(SHAPES)]
    frames = length(index)
    motions = tuple(random_motion(rng) for _ in range(CLIPS))
    firsts = [as_clip(training_pictures.picture(rng, height, width)) for _ in range(CLIPS)]
    latents = [
        whole_clip_vae.encode(vae, motion.clip(first, each.motion, frames).unsqueeze(0))
        for first, each in zip(firsts, motions, strict=True)
    ]
    soft = torch.stack([as_clip(soft_picture(rng, height, width)) for _ in range(SOFT)])
    return Shard(
        torch.cat(latents).half(),
        ((torch.stack(firsts) + 1) * 127.5).round().to(torch.uint8),
        whole_clip_vae.encode(vae, soft.unsqueeze(1)).half(),
        motions,
    )


def length(index: int) -> int:
    """Frames of a file's clips."""
    for count, frames in RUNS:
        if index < count:
            return frames
        index -= count
    raise ValueError("there are no such files")


def soft_picture(rng: np.random.Generator, height: int, width: int) -> training_pictures.Pixels:
    """Colours that flow into one another."""
    return training_pictures.gradient(rng, height, width).clip(0, 255).astype(np.uint8)


def write(shard: Shard, file: Path) -> None:
    """Keeps a shard."""
    tensors = {"latents": shard.latents, "pictures": shard.pictures, "soft": shard.soft}
    part = file.with_suffix(".part")
    save_file(tensors, part, metadata={"wishes": json.dumps([asdict(each) for each in shard.motions])})
    part.rename(file)


def read(folder: Path) -> Iterator[Shard]:
    """All shards that are there."""
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, framework="pt") as opened:
            motions = tuple(RequestedMotion(**each) for each in json.loads(opened.metadata()["wishes"]))
            latents, firsts, soft = (opened.get_tensor(name) for name in ("latents", "pictures", "soft"))
            yield Shard(latents, firsts, soft, motions)
