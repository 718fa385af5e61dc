"""The part of a picture that a data set has chosen."""

import io
from pathlib import Path
from typing import Any

from services.client.batch.row import BadRow, Crop

PNG_BYTES_MOST = 10_000_000
"""A larger PNG is written as JPEG instead, so that the service takes it."""


def cropped(file: Path, crop: Crop) -> bytes:
    """Returns the crop as a PNG, or as a JPEG if that would be too large. Blocking. Raises BadRow, OSError."""
    from PIL import Image, ImageOps, UnidentifiedImageError  # only here: it takes a while to import

    try:
        with Image.open(file) as opened:
            picture = opened if crop.origin in (None, opened.size) else ImageOps.exif_transpose(opened)
            if crop.origin not in (None, picture.size):
                size, meant = "x".join(map(str, opened.size)), "x".join(map(str, crop.origin or ()))
                raise BadRow(f"{file.name} is {size}, and its crop is for {meant}")
            left, top, right, bottom = crop.box
            if not (0 <= left < right <= picture.width and 0 <= top < bottom <= picture.height):
                raise BadRow(f"the crop {list(crop.box)} is not within {file.name}, {picture.width}x{picture.height}")
            part = picture.crop(crop.box)
            part.info.pop("exif", None)
            if (data := _written(part, "PNG")) and len(data) <= PNG_BYTES_MOST:
                return data
            return _written(part.convert("RGB"), "JPEG", quality=95, subsampling=0)
    except (UnidentifiedImageError, Image.DecompressionBombError, SyntaxError, ValueError) as error:
        raise BadRow(f"{file.name} cannot be read as a picture") from error


def _written(picture: Any, form: str, **how: int) -> bytes:
    to = io.BytesIO()
    if form == "PNG" and picture.mode not in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"):
        picture = picture.convert("RGB")
    picture.save(to, form, **how)
    return to.getvalue()
