"""A request to the transformer and its results, for every pipeline; its checks; and the noise that all start from."""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from network_runtime import PATCH

Floats = npt.NDArray[np.float32]


class BadRequest(ValueError):
    """The request can never be served; the message describes the error."""


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
    """Makes videos. One that is not thread-safe serves one slot."""

    @property
    def cache_bytes(self) -> int:
        """Bytes that it keeps from video to video."""

    def check(self, request: Request) -> None:
        """Raises BadRequest for what cannot be served; costs nothing."""

    def blocks(
        self, request: Request, cancelled: Callable[[], bool], count: Callable[[int], object]
    ) -> Generator[Block, None, None]:
        """Makes a video; `cancelled` is called before every forward, `count` with 1 after each.

        A block without frames only reports progress. A video has ended when the generator ends or is closed.

        Raises:
            BadRequest: before any work.
            OutOfMemory: nothing more can be made with this object.
        """

    def warm_up(self) -> None:
        """Does the one-time work, so that the first request does not wait for it."""


def check_size_and_seed(request: Request) -> None:
    """Raises BadRequest for a latent size or a seed that no pipeline takes."""
    height, width = request.latent_size
    if height < PATCH or width < PATCH or height % PATCH or width % PATCH:
        raise BadRequest(f"latent_size must be two even numbers from {PATCH}, not {height} x {width}")
    if not 0 <= request.seed < 2**63:
        raise BadRequest(f"seed must be from 0 to 2**63 - 1, not {request.seed}")


def history_frames(request: Request) -> int:
    """Latent frames of the history; -1 if it has another number of axes."""
    if request.history is None:
        return 0
    return request.history.shape[2] if request.history.ndim == 5 else -1


def check_arrays(**arrays: tuple[Any, tuple[int, ...]]) -> None:
    """Checks the shape of each array that is given.

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
