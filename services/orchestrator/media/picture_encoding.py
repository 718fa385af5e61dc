"""Writes a clean picture: a lossy one as JPEG, at its own quality; any other as PNG.

Fast settings are tried first, slower ones only if the file exceeds STORED_BYTES, which vendors do not accept.
Runs in the child only.
"""

import io
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from PIL import Image

from services.orchestrator.media import jpeg_strips

STORED_BYTES = 10_000_000
LEAST_QUALITY = 75
QUALITY = 95
"""JPEG quality for a lossy picture of unknown quality."""
_SMALLER = (95, 90, 85, 80, 75, 60, 45, 30)
_PIXELS_FOR_SLOW_PNG = 16_000_000
"""Above this size, good compression of a PNG would take seconds."""
_STANDARD_SUMS = (3688, 5505)
"""Sums of the tables for luminance and chrominance in the JPEG standard, which are those of quality 50."""

Pixels = Any
"""A Pillow image of mode RGB, or an array (H, W, 3) of it."""


def jpeg_quality(image: Any) -> tuple[int, str]:
    """Returns the quality at which a JPEG was written, within bounds, and its subsampling, such as 420."""
    if image.mode == "CMYK" or image.info.get("adobe_transform") == 0:
        return QUALITY, "444"  # not luminance and chrominance, so the tables do not show the quality
    tables = [image.quantization[layer[3]] for layer in image.layer[:2]]
    best = max(_quality(sum(table), standard) for table, standard in zip(tables, _STANDARD_SUMS, strict=False))
    luminance, *others = [(layer[1], layer[2]) for layer in image.layer]
    subsampling = jpeg_strips.SUBSAMPLING.get(luminance, "444") if set(others) == {(1, 1)} else "444"
    return round(min(max(best, LEAST_QUALITY), 100)), subsampling


def _quality(table_sum: int, standard: int) -> float:
    scale = max(1, 100 * table_sum / standard)
    return (200 - scale) / 2 if scale <= 100 else 5000 / scale


def write_jpeg(picture: Pixels, target: BinaryIO, quality: int, subsampling: str) -> tuple[int, int]:
    """Writes a JPEG and returns its width and height. Lowers the quality if the file would be too large."""
    pixels: npt.NDArray[np.uint8] = np.asarray(picture)
    data = jpeg_strips.encode(pixels, quality, subsampling)
    for smaller in _SMALLER:
        if len(data) <= STORED_BYTES:
            break
        if smaller < quality:
            data = jpeg_strips.encode(pixels, smaller, "420")
    target.write(data)
    return pixels.shape[1], pixels.shape[0]


def write_png(picture: Pixels, target: BinaryIO) -> tuple[int, int]:
    """Writes a PNG and returns its width and height."""
    image: Image.Image = picture
    image.info = {}  # no EXIF, comment or profile that the encoder could write
    data = _png(image, compress_level=1)
    if len(data) > STORED_BYTES and image.width * image.height <= _PIXELS_FOR_SLOW_PNG:
        data = _png(image, compress_level=6)
    target.write(data)
    return image.width, image.height


def _png(image: Image.Image, compress_level: int) -> memoryview:
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=compress_level)
    return file.getbuffer()
