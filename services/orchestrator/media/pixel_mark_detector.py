"""Finds the mark of `pixel_mark` in a video, also after encoding, scaling, cropping, cutting and another frame rate.

The pattern is the same in each frame, so the frames' fine detail is averaged into one plane. For each scale, its
Fourier coefficients at the pattern's frequencies are correlated with the pattern's, over all shifts at once.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from av.container import InputContainer

from services.orchestrator.media.pixel_mark import HIGHEST, TILE, spectrum

THRESHOLD = 6.5
"""Standard deviations of the correlation over all shifts; the reason for this number is in decision 0052."""
SCALES = np.unique(np.concatenate([np.geomspace(0.4, 1.6, 125), [0.5, 1.0]]))
"""Sizes of the video that is looked at, compared with the size that was marked."""
FRAMES = 250
"""So many frames are looked at; more would not change the answer."""
_RADIUS = 2
"""Pixels of the neighbourhood to each side."""
_BINS = 7
"""The picture's spectrum is estimated as the mean over so many coefficients in both directions."""
_SHIFTS = 96
"""Shifts that are tried in each direction: more than two in the shortest wave of a tile."""
_SPREAD = 4.0
"""Detail beyond so many times its neighbourhood's deviation is an edge of the picture, not the mark."""

Plane = npt.NDArray[np.float32]
"""(H, W)"""


@dataclass(frozen=True, slots=True)
class PixelMark:
    """Whether a video has the mark; `score` and `threshold` in standard deviations."""

    present: bool
    score: float
    threshold: float


def detect(path: Path) -> PixelMark:
    """Looks for the mark in a video file. Decodes it here: give it foreign files in a sandboxed child only.

    Raises av.error.FFmpegError, or IndexError without a video track, for a file that cannot be decoded.
    """
    with av.open(f"file:{path}") as container:
        return detect_in(luma_planes(container))


def detect_in(planes: Iterable[npt.NDArray[np.uint8]]) -> PixelMark:
    """Looks for the mark in planes of luma, each (H, W), all of one size; others are left out."""
    total: Plane | None = None
    for index, plane in enumerate(planes):
        if index >= FRAMES:
            break
        detail = _detail(plane.astype(np.float32))
        if total is None:
            total = detail
        elif total.shape == detail.shape:
            total += detail
    score = 0.0 if total is None else max(_score(total, float(scale)) for scale in SCALES)
    return PixelMark(score >= THRESHOLD, score, THRESHOLD)


def luma_planes(container: InputContainer) -> Iterator[npt.NDArray[np.uint8]]:
    """Yields the luma of each frame of the first video track, (H, W)."""
    for frame in container.decode(container.streams.video[0]):
        yield frame.to_ndarray(format="gray").astype(np.uint8, copy=False)


def _detail(plane: Plane) -> Plane:
    """Returns what differs from the neighbourhood, in units of the neighbourhood's deviation."""
    rest = plane - _mean(plane, _RADIUS)
    deviation = np.sqrt(_mean(rest * rest, _RADIUS)) + 1
    return np.asarray(np.clip(rest / deviation, -_SPREAD, _SPREAD))


def _mean(plane: npt.NDArray[Any], radius: int) -> npt.NDArray[Any]:
    """Returns the mean over a square of 2 * radius + 1 around each element; edges are repeated."""
    size = 2 * radius + 1
    for _ in range(2):  # columns, then rows
        sums = np.cumsum(np.pad(plane, ((radius + 1, radius), (0, 0)), mode="edge"), axis=0, dtype=np.float64)
        plane = ((sums[size:] - sums[:-size]) / size).T.astype(plane.dtype)
    return plane


def _score(detail: Plane, scale: float) -> float:
    """Returns the highest correlation over all shifts, in standard deviations, if the video was scaled so."""
    cycles = np.arange(-HIGHEST, HIGHEST + 1)
    waves = [np.exp(-2j * np.pi / (TILE * scale) * np.outer(cycles, np.arange(size))) for size in detail.shape]
    found = waves[0] @ detail @ waves[1].T
    # Loud coefficients are the picture's. Halfway between a matched filter and phases alone works best.
    loudness = np.sqrt(np.abs(found) * np.sqrt(_mean(np.abs(found) ** 2, _BINS // 2)))
    product = found / np.maximum(loudness, 1e-9) * spectrum()[np.ix_(cycles, cycles)].conj()
    whole = np.zeros((_SHIFTS, _SHIFTS), complex)
    whole[np.ix_(cycles, cycles)] = product
    shifts = np.fft.ifft2(whole).real
    return float(shifts.max() / max(float(shifts.std()), 1e-12))
