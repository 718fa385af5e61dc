"""What is asked of the transformer and what comes of it, whatever the pipeline; and the noise that both start from."""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


class BadRequest(ValueError):
    """The request can never be served; the message says what is wrong with it."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """A video to make."""

    prompt_embeddings: Floats
    """(1, L, D), rows of padding zero."""
    negative_embeddings: Floats | None = None
    """(1, L, D): what guidance leads away from. For pipelines with guidance alone."""
    image_tokens: Floats | None = None
    """(1, T, D'), or none: nothing attends to a picture then."""
    image_latent: Floats | None = None
    """(1, C, 1, h, w), normalised: latent frame 0, or none: then it is made too."""
    latent_size: tuple[int, int]
    """(h, w), both even."""
    latent_frames: int
    """Of the whole video, frame 0 included."""
    seed: int
    """0 to 2**63 - 1."""
    history: Floats | None = None
    """(1, C, n, h, w): latents of this very request that are made already, from the first that it would make on."""


@dataclass(frozen=True)
class Block:
    """Latent frames that are final."""

    latents: Floats
    """(1, C, f, h, w), normalised."""
    start: int
    """Absolute latent frame of its first."""
    forwards: int
    """Of the transformer, since the request began."""
    total: int
    """Of the transformer, when the request will have ended."""


class Pipeline(Protocol):
    """A way to make videos. One that is not thread-safe serves one slot."""

    @property
    def cache_bytes(self) -> int:
        """What it keeps from video to video."""

    def check(self, request: Request) -> None:
        """Raises BadRequest for what cannot be served; costs nothing."""

    def blocks(
        self, request: Request, cancelled: Callable[[], bool], count: Callable[[int], object]
    ) -> Generator[Block, None, None]:
        """Makes a video; `cancelled` is asked before every forward, `count` called with 1 after each.

        A block of no frames only tells how far it is. A video is over when the generator ends or is closed.

        Raises:
            BadRequest: before any work.
            OutOfMemory: nothing more can be made with this object.
        """

    def warm_up(self) -> None:
        """Does what is done once, so that the first request does not pay for it."""


def check_arrays(**arrays: tuple[Any, tuple[int, ...]]) -> None:
    """Holds each array that is given against the shape it must have.

    Raises:
        BadRequest: another shape, or numbers that are not finite.
    """
    for name, (given, wanted) in arrays.items():
        if given is not None and given.shape != wanted:
            raise BadRequest(f"{name} must have the shape {wanted}, not {given.shape}")
        if given is not None and not np.isfinite(given).all():
            raise BadRequest(f"{name} must be finite")


def noise(seed: int, start: int, end: int, step: int, channels: int, size: tuple[int, int]) -> Floats:
    """Standard normal noise (1, C, end - start, h, w); each frame has a generator of its seed, number and step."""
    frames = [
        np.random.Generator(np.random.Philox(key=[seed, frame << 32 | step])).standard_normal(
            (channels, *size), dtype=np.float32
        )
        for frame in range(start, end)
    ]
    return np.stack(frames, axis=1)[None]
