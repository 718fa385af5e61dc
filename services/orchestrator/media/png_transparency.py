"""The transparent colour of a PNG (its tRNS chunk), compared at the bit depth of the file.

Pillow returns 8 bits per sample and compares them with a key that may have 16, or 2. Runs in the child only.
"""

import io
from functools import reduce

from PIL import Image, ImageChops, ImageFile

from services.orchestrator.media.picture_header import Header

#: Pillow's modes to unpack the upper bytes of 16-bit samples, and the lower ones (as upper ones of swapped bytes).
_UPPER, _LOWER = {"L": "L;16B", "RGB": "RGB;16B"}, {"L": "L;16", "RGB": "RGB;16L"}


def resolved(found: Header, image: Image.Image) -> Image.Image:
    """Returns a picture that Pillow makes transparent in the right places, from one that is not decoded yet."""
    key = image.info.get("transparency")
    if found.format != "PNG" or key is None or image.mode not in ("1", "L", "I;16", "RGB"):
        return image
    mode = "RGB" if image.mode == "RGB" else "L"
    keys = key if isinstance(key, tuple) else (key,)
    if found.bits < 16:
        if mode == "L":
            image.info["transparency"] = keys[0] * 255 // ((1 << found.bits) - 1)
        return image
    upper, lower = (_bytes_of(found, mode, unpack[mode]) for unpack in (_UPPER, _LOWER))
    matches = [
        band.point([255 if value == wanted else 0 for value in range(256)])
        for plane, shift in ((upper, 8), (lower, 0))
        for band, wanted in zip(plane.split(), [value >> shift & 255 for value in keys], strict=True)
    ]
    upper.putalpha(ImageChops.invert(reduce(ImageChops.darker, matches)))
    return upper


def _bytes_of(found: Header, mode: str, unpacking: str) -> Image.Image:
    """Decodes one byte of every sample."""
    image = Image.open(io.BytesIO(found.data), formats=("PNG",))
    assert isinstance(image, ImageFile.ImageFile)
    image._mode = mode
    image.tile = [tile._replace(args=unpacking) for tile in image.tile]
    image.info.pop("transparency", None)
    image.load()
    return image
