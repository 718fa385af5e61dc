"""The mark in the pixels of generated videos: a faint periodic pattern, the same in every frame.

It carries no payload. It depends on nothing but the size of the frame and its content, so equal requests still give
equal frames. Pure CPU: call it in a thread.
"""

import hashlib
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Frames = npt.NDArray[np.uint8]
"""(F, H, W, 3), RGB"""
Plane = npt.NDArray[np.float32]
"""(H, W)"""

TILE = 64
"""Pixels after which the pattern repeats, in both directions."""
LOWEST, HIGHEST = 3, 9
"""Cycles a tile: coarse enough to survive half the size, fine enough to differ from the picture's own shapes."""
PSNR_DB = 41.0
_KEY = b"i2v pixel mark 1"
_BLOCK = 8
"""Texture is measured in blocks of so many pixels."""
_FLAT, _BUSY = 0.6, 2.0
"""Strength of the mark in flat and in textured blocks, before it is scaled to PSNR_DB."""


@lru_cache(maxsize=1)
def spectrum() -> npt.NDArray[np.complex128]:
    """Returns the pattern's Fourier coefficients, (TILE, TILE): of size 1 inside the band, 0 outside, Hermitian."""
    digits = hashlib.shake_256(_KEY).digest(TILE * TILE * 2)
    angles = np.frombuffer(digits, "<u2").reshape(TILE, TILE) * (2 * np.pi / 65536)
    cycles = np.fft.fftfreq(TILE, 1 / TILE)
    radius = np.hypot(cycles[:, None], cycles[None, :])
    noise = np.fft.fft2(np.cos(angles))  # of a real tile, so that the inverse is real too
    band = (radius >= LOWEST) & (radius <= HIGHEST)
    return np.where(band, noise / np.abs(noise), 0)


@lru_cache(maxsize=8)
def _pattern(height: int, width: int) -> Plane:
    tile = np.fft.ifft2(spectrum()).real
    rows, columns = np.arange(height) % TILE, np.arange(width) % TILE
    pattern: Plane = (tile / tile.std()).astype(np.float32)[rows[:, None], columns[None, :]]
    return pattern


def mark(frames: Frames) -> Frames:
    """Returns the frames, (F, H, W, 3), with the mark added to their luma."""
    pattern = _pattern(*frames.shape[1:3])
    marked = np.empty_like(frames)
    for index, frame in enumerate(frames):
        added = pattern * _strength(frame[..., 1].astype(np.float32))
        added *= 255 * 10 ** (-PSNR_DB / 20) / max(float(np.sqrt(np.mean(added**2))), 1e-6)
        changed = frame + np.rint(added).astype(np.int16)[..., None]
        marked[index] = np.clip(changed, 0, 255)
    return marked


def _strength(green: Plane) -> Plane:
    """Returns how strong the mark is at each pixel: the eye sees less of it where the picture is busy."""
    height, width = green.shape
    edges = np.zeros_like(green)
    edges[:, 1:] += np.abs(np.diff(green, axis=1))
    edges[1:] += np.abs(np.diff(green, axis=0))
    padded = np.pad(edges, ((0, -height % _BLOCK), (0, -width % _BLOCK)), mode="edge")
    blocks = padded.reshape(padded.shape[0] // _BLOCK, _BLOCK, padded.shape[1] // _BLOCK, _BLOCK).mean(axis=(1, 3))
    strength = np.clip(_FLAT + blocks / 12, _FLAT, _BUSY)
    return np.asarray(strength.repeat(_BLOCK, axis=0).repeat(_BLOCK, axis=1)[:height, :width])
