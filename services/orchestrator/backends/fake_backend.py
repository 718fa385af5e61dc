"""A backend without a model: the picture slowly zooms. For trying the API, and all that is around a model."""

import asyncio
from collections.abc import AsyncGenerator

import numpy as np
from numpy.typing import NDArray

from services.orchestrator.domain.spec import ImageToVideo
from services.orchestrator.media.fit import fit
from services.orchestrator.media.open_video_writer import open_video_writer
from services.orchestrator.ports.backend import BackendEvent, Fragment, GenerationRequest, Output, Stage

FRAMES_A_FRAGMENT = 16
ZOOM = 0.2


class FakeBackend:
    """Zooms into the picture, or into a pattern drawn from the seed; `pause_s` after each fragment represents work.

    With `marked`, its videos carry the pixel mark.
    """

    def __init__(self, *, pause_s: float = 0.0, marked: bool = False) -> None:
        self._pause_s, self._marked = pause_s, marked

    async def generate(self, attempt: GenerationRequest) -> AsyncGenerator[BackendEvent, None]:
        """Yields the fragments of a zoom, then the whole video."""
        size, operation = attempt.spec.size, attempt.spec.operation
        assert size is not None and attempt.spec.seed is not None
        total = attempt.card.frames(attempt.spec)
        yield Stage("encode-inputs", 0.0)
        if isinstance(operation, ImageToVideo) and attempt.picture is not None:
            picture = await asyncio.to_thread(fit, attempt.picture, size.width, size.height, operation.fit.value)
        else:
            coarse = np.random.default_rng(attempt.spec.seed).integers(0, 256, (8, 8, 3), np.uint8)
            picture = np.kron(coarse, np.ones((size.height // 8 + 1, size.width // 8 + 1, 1), np.uint8))
            picture = picture[: size.height, : size.width]
        writer = await open_video_writer(size.width, size.height, attempt.card.fps, marked=self._marked)
        for first in range(0, total, FRAMES_A_FRAGMENT):
            count = min(FRAMES_A_FRAGMENT, total - first)
            frames = np.stack([_zoomed(picture, ZOOM * (first + i) / total) for i in range(count)])
            data = await asyncio.to_thread(writer.add, frames)
            yield Fragment(data, count, (first + count) / total)
            await asyncio.sleep(self._pause_s)
        yield Stage("finish", 1.0)
        path = attempt.workdir / "video.mp4"
        await asyncio.to_thread(writer.finish, path)
        yield Output(path, marked=self._marked)

    async def check(self) -> None:
        """Does nothing: it is always ready."""


def _zoomed(picture: NDArray[np.uint8], amount: float) -> NDArray[np.uint8]:
    """Returns (H, W, 3) the inner part of the picture, brought back to its size by nearest neighbours."""
    height, width, _ = picture.shape
    ys = np.linspace(height * amount / 2, height * (1 - amount / 2) - 1, height).astype(int)
    xs = np.linspace(width * amount / 2, width * (1 - amount / 2) - 1, width).astype(int)
    return np.ascontiguousarray(picture[ys][:, xs])
