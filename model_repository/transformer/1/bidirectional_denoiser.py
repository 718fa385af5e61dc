"""The port between the loop that makes a whole video at once and what computes its forwards.

A `Denoiser` holds one profile's weights, and a `Video` of it the buffers of the forwards of one video.
`bidirectional_denoiser_onnx` and `bidirectional_denoiser_torch` implement both.
"""

from collections.abc import Sequence
from typing import Protocol

from network_runtime import Floats
from transformer_settings import Settings


class Video(Protocol):
    """One video on its way. Not thread-safe."""

    def forward(self, prompt: int, latents: Floats, timestep: float) -> Floats:
        """One forward over all latent frames, each of which attends to all others and to the prompt of this number.

        `latents` are FP32 (1, C + condition channels, F, h, w), the noisy ones first; all are at `timestep`, 0 to 1000.
        Returns the flow, noise minus clean, FP32 (1, C, F, h, w); the caller owns the array.

        Raises:
            OutOfMemory: no memory for the activations.
        """

    def end(self) -> None:
        """The video has ended, or was cancelled: releases its memory. May be called again."""


class Denoiser(Protocol):
    """One profile's weights, ready to compute. Thread-safe: its videos may be made at the same time."""

    settings: Settings

    def video(self, prompts: Sequence[Floats], image_tokens: Floats | None, grid: tuple[int, int, int]) -> Video:
        """A new video of (F, h, w) latents.

        Projects the prompts, (1, L, D) each, and the picture's tokens, (1, T, D'), to the keys and values of every
        cross-attention. Without a picture nothing attends to one.

        Raises:
            OutOfMemory: no memory for it.
        """
