"""How a picture meets a model: brought to the model's size by cropping or padding, never stretched.

Takes clean stored pictures (picture.py made them), so it decodes in this process. Blocking: call it in a thread.
"""

import io
from typing import Literal

import numpy as np
import numpy.typing as npt

Rgb = npt.NDArray[np.uint8]
"""(H, W, 3)"""
Tensor = npt.NDArray[np.float32]
"""(1, 3, H, W)"""


def fit(picture: bytes, width: int, height: int, policy: Literal["crop", "pad"]) -> Rgb:
    """Returns the picture at exactly this size: `crop` fills it and cuts the rest, `pad` shows all of it on black."""
    # Only here: an idle worker does without.
    from PIL import Image, ImageOps

    with Image.open(io.BytesIO(picture), formats=("PNG", "JPEG")) as image:
        # A JPEG can be decoded at a half or a quarter of its size; twice the target is kept for the filter to work on.
        image.draft("RGB", (2 * width, 2 * height))
        rgb = image.convert("RGB")
    change = ImageOps.fit if policy == "crop" else ImageOps.pad
    return np.asarray(change(rgb, (width, height), Image.Resampling.LANCZOS))


def to_pixels(rgb: Rgb) -> Tensor:
    """Returns what an image-to-video VAE takes: (1, 3, H, W), -1 is black and 1 is white."""
    return np.ascontiguousarray(rgb.transpose(2, 0, 1)[None], np.float32) / np.float32(127.5) - np.float32(1)
