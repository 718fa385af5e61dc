"""Finds the mark of `pixel_mark` in a video, also after encoding, scaling, cropping, cutting and another frame rate.

The pattern is the same in each frame, so the frames' fine detail is averaged. Where much of the picture is left in the
average, it counts less. For each scale, its Fourier coefficients at the pattern's frequencies are correlated with the
pattern's, over all shifts at once. The best scales are looked at again with the video in four parts: what differs
between them is the picture, and is suppressed as an adaptive antenna suppresses what comes from another direction.
"""

import itertools
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
_REST_RADIUS = 4
"""The same for the average of all frames."""
_LEAST_REST = 0.2
"""The least deviation that is assumed there, compared with that of the whole plane."""
_BLOCK = 8
"""Frames that are summed at once. Parts are cut between blocks, because the number of frames is not known before."""
_PARTS = 4
_BEST_SCALES = 8
"""Scales that are looked at again, in parts."""
_NEIGHBOURS = 4
"""The parts' differences are estimated over so many coefficients to each side."""
_LOADING = 0.2
"""What is added to the covariance of the parts, compared with their mean power, so that it can be inverted."""
_BINS = 7
"""The picture's spectrum is estimated as the mean over so many coefficients in both directions."""
_SHIFTS = 96
"""Shifts that are tried in each direction: more than two in the shortest wave of a tile."""
_SPREAD = 4.0
"""Detail beyond so many times its neighbourhood's deviation is an edge of the picture, not the mark."""

_CYCLES = np.arange(-HIGHEST, HIGHEST + 1)
_PATTERN = spectrum()[np.ix_(_CYCLES, _CYCLES)].conj()

Plane = npt.NDArray[np.float32]
"""(H, W)"""
Coefficients = npt.NDArray[np.complex128]


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
    blocks: list[Plane] = []
    for index, plane in enumerate(planes):
        if index >= FRAMES:
            break
        detail = _detail(plane.astype(np.float32))
        if index % _BLOCK == 0 and (not blocks or detail.shape == blocks[0].shape):
            blocks.append(detail)
        elif blocks and detail.shape == blocks[0].shape:
            blocks[-1] += detail
    score = _best_score(blocks) if blocks else 0.0
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
        sums = np.cumsum(np.pad(plane, ((radius + 1, radius), (0, 0)), mode="edge"), axis=0, dtype=_wide(plane))
        plane = ((sums[size:] - sums[:-size]) / size).T.astype(plane.dtype)
    return plane


def _wide(plane: npt.NDArray[Any]) -> type[np.float64] | type[np.complex128]:
    return np.complex128 if np.iscomplexobj(plane) else np.float64


def _best_score(blocks: list[Plane]) -> float:
    cuts = np.linspace(0, len(blocks), min(_PARTS, len(blocks)) + 1).astype(int)
    parts = np.stack([np.sum(blocks[start:end], axis=0) for start, end in itertools.pairwise(cuts)])
    total = parts.sum(axis=0)
    rest = np.sqrt(_mean(total * total, _REST_RADIUS))
    parts = parts / (rest + _LEAST_REST * np.sqrt(np.mean(total * total)) + 1e-9) ** 2
    total = parts.sum(axis=0)
    best = sorted(map(float, SCALES), key=lambda scale: _score(_coefficients(total, scale)))[-_BEST_SCALES:]
    return max(_score(_steady(np.stack([_coefficients(part, scale) for part in parts]))) for scale in best)


def _coefficients(plane: Plane, scale: float) -> Coefficients:
    """Returns the Fourier coefficients at the pattern's frequencies, if the video was scaled so."""
    waves = [np.exp(-2j * np.pi / (TILE * scale) * np.outer(_CYCLES, np.arange(size))) for size in plane.shape]
    return np.asarray(waves[0] @ plane @ waves[1].T)


def _steady(parts: Coefficients) -> Coefficients:
    """Returns what is the same in all parts, (parts, 2 * HIGHEST + 1, 2 * HIGHEST + 1), as one plane, whitened.

    The weights of the parts have the least power that keeps a steady signal: a minimum-variance beamformer.
    """
    count = len(parts)
    across = np.moveaxis(parts, 0, -1)
    products = across[..., :, None] * across[..., None, :].conj()
    covariance = np.empty_like(products)
    for one, other in itertools.product(range(count), repeat=2):
        covariance[..., one, other] = _mean(products[..., one, other], _NEIGHBOURS)
    power = np.trace(covariance, axis1=-2, axis2=-1).real / count
    covariance += (_LOADING * power + 1e-12)[..., None, None] * np.eye(count)
    weights = np.linalg.solve(covariance, np.ones((*power.shape, count, 1)))[..., 0]
    # By the normal equations, the power of the weighted sum is the sum of the weights.
    return np.asarray(np.sum(weights.conj() * across, axis=-1) / np.sqrt(np.sum(weights, axis=-1).real))


def _score(found: Coefficients) -> float:
    """Returns the highest correlation over all shifts, in standard deviations."""
    # Loud coefficients are the picture's. Halfway between a matched filter and phases alone works best.
    loudness = np.sqrt(np.abs(found) * np.sqrt(_mean(np.abs(found) ** 2, _BINS // 2)))
    product = found / np.maximum(loudness, 1e-9) * _PATTERN
    whole = np.zeros((_SHIFTS, _SHIFTS), complex)
    whole[np.ix_(_CYCLES, _CYCLES)] = product
    shifts = np.fft.ifft2(whole).real
    return float(shifts.max() / max(float(shifts.std()), 1e-12))
