"""The port between the loop that makes a video block by block and what computes its forwards.

A `Runtime` holds one profile's weights; each of its slots holds the KV cache of one video at a time, so as many videos
can be made at once as there are slots. `network_runtime_onnx` and `network_runtime_torch` implement both.
"""

from typing import Protocol

import numpy as np
import numpy.typing as npt
from transformer_settings import Settings

Floats = npt.NDArray[np.float32]

PATCH = 2
"""Latent pixels a side of one token."""


class OutOfMemory(RuntimeError):
    """There is not enough memory; the slot that raised it must not be used again. Begins with `OUT_OF_MEMORY: `."""

    def __init__(self, reason: object) -> None:
        super().__init__(f"OUT_OF_MEMORY: {reason}")


class Slot(Protocol):
    """The KV cache of one video: the keys and values of what it attends to.

    Its buffers are kept, and used again for the next video of the same size. Not thread-safe.
    """

    @property
    def bytes(self) -> int:
        """Bytes of its buffers."""

    def begin(self, prompt_embeddings: Floats, image_tokens: Floats | None, latent_size: tuple[int, int]) -> None:
        """Takes a new video, of `latent_size` (h, w): the cache is emptied, and allocated again only for another size.

        Projects the prompt, (1, L, D), and the picture's tokens, (1, T, D'), to the keys and values of every
        cross-attention. Without a picture nothing attends to one.

        Raises:
            OutOfMemory: no memory for a cache of this size.
        """

    def forward(self, latents: Floats, timestep: float, start: int, past: int, *, keep: bool) -> Floats:
        """One forward over latent frames (1, C, f, h, w), the first of them absolute frame `start`.

        All are at `timestep`, 0 to 1000. They attend to the first `past` cached latent frames and to one another.
        Returns the flow, noise minus clean, FP32 (1, C, f, h, w); the caller owns the array.

        With `keep`, their keys and values stay in the cache as its frames `past` to `past + f`; without, the next call
        may overwrite them. `past + f` is at most `cache_latents`.

        Raises:
            OutOfMemory: no memory for the activations.
        """

    def forget(self, first: int, count: int) -> None:
        """Drops cached latent frames `first` to `first + count`: those after them move up, rotated as before.

        At most as many as the next forwards add.
        """

    def end(self) -> None:
        """The video has ended, or was cancelled. The buffers stay for the next one, if the settings keep them."""

    def warm_up(self, latent_size: tuple[int, int]) -> None:
        """Does the one-time work for videos of this size, before the first request.

        Raises:
            OutOfMemory: no memory for such a video.
        """


class Runtime(Protocol):
    """One profile's weights, ready to compute. Thread-safe: its slots may be used at the same time."""

    settings: Settings

    def slot(self) -> Slot:
        """A new slot.

        Raises:
            OutOfMemory: no memory for it.
        """
