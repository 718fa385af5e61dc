"""A perceptual hash (pHash): similar pictures differ in few of its 64 bits. Runs in the child only."""

import numpy as np
import numpy.typing as npt
from PIL import Image

GRID, KEPT = 32, 8
"""Pixels a side that are looked at, and lowest frequencies a side that are kept."""
LOOKED_AT = 256
"""Pixels a side that are enough to average from: more would cost time on large pictures, and change no bit."""

_n = np.arange(GRID)
_DCT: npt.NDArray[np.float64] = np.cos(np.pi / GRID * (_n[None, :] + 0.5) * _n[:KEPT, None])
"""(KEPT, GRID): the rows of the DCT-II of the lowest frequencies."""


def perceptual_hash(picture: Image.Image | npt.NDArray[np.uint8]) -> int:
    """Returns the hash of an RGB picture, also as (H, W, 3), as a signed 64-bit number, as PostgreSQL keeps it.

    A bit says whether the strength of one low frequency is above the median of all.
    """
    if isinstance(picture, Image.Image):
        step = max(1, min(picture.size) // LOOKED_AT)
        size = picture.width // step, picture.height // step
        picture = picture.resize(size, Image.Resampling.NEAREST)
    else:
        step = max(1, min(picture.shape[:2]) // LOOKED_AT)
        picture = Image.fromarray(np.ascontiguousarray(picture[::step, ::step]))
    grey = np.asarray(picture.convert("L").resize((GRID, GRID), Image.Resampling.BOX), np.float64)
    low = (_DCT @ grey @ _DCT.T).ravel()
    bits = low > np.median(low[1:])  # the first is the brightness, far above all others
    return int(np.packbits(bits).view(">i8")[0])
