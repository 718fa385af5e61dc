"""The mark in the pixels of generated videos: a faint periodic pattern, the same in every frame.

It carries no payload. It depends on nothing but the size of the frame, so equal requests still give equal frames.
Pure CPU: call it in a thread.
"""

import hashlib
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Frames = npt.NDArray[np.uint8]
"""(F, H, W, 3), RGB"""

TILE = 160
"""Pixels after which the pattern repeats, in both directions."""
LOWEST, HIGHEST = 7, 20
"""Cycles a tile: up to a quarter of the Nyquist frequency, so that it survives half the size and coarse encoding."""
PSNR_DB = 40.15
"""Before rounding to whole levels, which costs 0.06 dB. Clipping at black and white only raises it."""
_KEY = b"i2v pixel mark 1"


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


def mark(frames: Frames) -> Frames:
    """Returns the frames, (F, H, W, 3), with the mark added to their luma."""
    pattern = luma_pattern(*frames.shape[1:3], 255)[..., None]
    marked = np.empty_like(frames)
    for index, frame in enumerate(frames):
        marked[index] = np.clip(frame + pattern, 0, 255)
    return marked


@lru_cache(maxsize=8)
def luma_pattern(height: int, width: int, span: int) -> npt.NDArray[np.int16]:
    """Returns what is added to the luma of a frame, (H, W), in levels; `span` is how many lie between black and white.

    Added to red, green and blue, it changes their luma by the same, and no colour.

    It is equally strong everywhere: stronger texture and weaker flat areas were found less often at equal PSNR.
    """
    tile = np.fft.ifft2(spectrum()).real
    pattern = tile[np.arange(height)[:, None] % TILE, np.arange(width)[None, :] % TILE]
    deviation = span * 10 ** (-PSNR_DB / 20)
    scaled: npt.NDArray[np.float64] = pattern * (deviation / np.sqrt(np.mean(pattern**2)))
    return np.asarray(np.rint(scaled), np.int16)
