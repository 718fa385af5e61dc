"""The two graphs of a decoder, of the VAE or the tiny one: for the first latent frame, and for each later one."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch

from tools.export.graph import DTYPES, Graph
from tools.export.profile import Precision, Profile

LATENT_SIZES = ((8, 14), (14, 8), (10, 10))
"""Latent heights and widths on which graphs are checked: 64x112, 112x64 and 80x80 pixels; tests take larger ones."""


def as_pixels(frames: torch.Tensor) -> torch.Tensor:
    """(F, 3, H, W), clamped to [-1, 1] -> UINT8 (F, H, W, 3), halves to even: only bytes leave a device."""
    scaled = (frames.float().clamp(-1, 1) * 127.5 + 127.5).round()
    return scaled.to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def decoder_graphs(
    profile: Profile, model: str, first: torch.nn.Module, later: torch.nn.Module, *, caches: int
) -> Iterator[Graph]:
    """The graphs of a decoder whose feature cache has `caches` tensors, for the Triton model of this name."""
    names, precision = [f"cache_{index}" for index in range(caches)], profile.engine.picture_precision

    def latent(height: int, width: int) -> torch.Tensor:
        return torch.randn(1, profile.vae.channels, 1, height, width)

    def after_first(height: int, width: int) -> dict[str, Any]:
        with torch.no_grad():
            _, *cache = first(latent(height, width))
        return {"latent": latent(height, width), "caches": cache}

    yield Graph(
        file=f"{model}/1/first.onnx",
        module=first,
        examples=[{"latent": latent(height, width)} for height, width in LATENT_SIZES],
        inputs=["latent"],
        outputs=["frames", *(f"new_{name}" for name in names)],
        dynamic={"latent": (3, 4)},
        precision=precision,
        optimize=False,
    )
    yield Graph(
        file=f"{model}/1/next.onnx",
        module=later,
        examples=[after_first(height, width) for height, width in LATENT_SIZES],
        inputs=["latent", *names],
        outputs=["frames", *(f"new_{name}" for name in names)],
        dynamic={"latent": (3, 4), "caches": (2, 3)},
        precision=precision,
        optimize=False,
    )


def total_bytes(shapes: Sequence[Sequence[int]], precision: Precision) -> int:
    """Bytes of tensors of these shapes."""
    itemsize: int = DTYPES[precision].itemsize
    return sum(math.prod(shape) for shape in shapes) * itemsize
