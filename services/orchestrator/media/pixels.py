"""One hostile picture becomes one clean one: 8-bit sRGB, the right way up, no metadata. Runs in the child only.

The caller limits memory and time (decode.py); this module limits everything that can be told from the header.
"""

import io
from collections.abc import Callable
from typing import BinaryIO

from PIL import ExifTags, Image, ImageChops, ImageCms

from services.orchestrator.media import header
from services.orchestrator.media.header import Refused

# Ours are lower and refuse; Pillow's would only warn.
Image.MAX_IMAGE_PIXELS = None

_SRGB = ImageCms.createProfile("sRGB")
#: Makes a profile that counts as another than sRGB, for warming up.
OTHER_NAME = ("sRGB".encode("utf-16-be"), "Wide".encode("utf-16-be"))


def clean(source: BinaryIO, target: BinaryIO) -> Callable[[], dict[str, object]]:
    """Decodes `source`; what it returns encodes the picture into `target` and gives its media type and size.

    In two halves, because a failure of the first is the picture's fault and of the second is ours.

    Raises:
        Refused: the picture is beyond a limit; also MemoryError and whatever Pillow raises on broken data.
    """
    found = header.inspect(source.read(header.MAX_FILE_BYTES + 1))
    image: Image.Image = Image.open(io.BytesIO(found.data), formats=(found.format,))
    if image.size != (found.width, found.height) or getattr(image, "n_frames", 1) != 1:
        raise Refused("PICTURE_MALFORMED", "is broken: its parts disagree; save the picture again as PNG or JPEG")
    image.load()
    orientation = _orientation(image)
    image = _upright(_rgb(image), orientation)

    def encode() -> dict[str, object]:
        if found.format == "JPEG":
            image.save(target, "JPEG", quality=95, subsampling=0)
        else:
            image.save(target, "PNG", compress_level=1)
        target.flush()
        media_type = "image/jpeg" if found.format == "JPEG" else "image/png"
        return {"media_type": media_type, "width": image.width, "height": image.height}

    return encode


def _orientation(image: Image.Image) -> int:
    """Returns the EXIF orientation, 1 where there is none or it cannot be read: many cameras write broken EXIF."""
    try:
        value = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # Pillow raises a dozen kinds on broken EXIF; none of them is a broken picture
        return 1
    return value if isinstance(value, int) and 2 <= value <= 8 else 1


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    transpose = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }
    upright = image.transpose(transpose[orientation]) if orientation in transpose else image
    # A new picture has no EXIF, comment or profile that the encoder could write.
    upright.info = {}
    return upright


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16") or image.mode == "I":
        # Pillow's own conversion clips everything above 255 to white.
        image = image.point(lambda value: value * (1 / 256)).convert("L")
    if image.mode == "CMYK" and "adobe" not in image.info:
        # Adobe stores inks inverted and says so; Pillow takes every CMYK JPEG for Adobe's.
        image = ImageChops.invert(image)
    if image.mode in ("LA", "PA") or ("transparency" in image.info and image.mode in ("1", "L", "P", "RGB")):
        image = image.convert("RGBA")
    elif image.mode == "P":
        image = image.convert("RGB")
    image = _in_srgb(image)
    if image.mode == "RGBA":
        # Pasting needs one picture beside the source; Image.alpha_composite would need two.
        page = Image.new("RGB", image.size, "white")
        page.paste(image, mask=image)
        return page
    return image if image.mode == "RGB" else image.convert("RGB")


def _in_srgb(image: Image.Image) -> Image.Image:
    """Applies the picture's colour profile: phones store wide colours, which would look pale without it."""
    profile = image.info.get("icc_profile", b"")
    if not 0 < len(profile) <= header.MAX_PROFILE_BYTES or image.mode not in ("RGB", "RGBA", "CMYK"):
        return image
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if ImageCms.getProfileDescription(source).startswith("sRGB"):
            return image
        if image.mode == "CMYK":
            return ImageCms.profileToProfile(image, source, _SRGB, outputMode="RGB") or image
        ImageCms.profileToProfile(image, source, _SRGB, inPlace=True)
        return image
    except (ImageCms.PyCMSError, OSError):
        return image  # many profiles are broken, or meant for another kind of picture


def warm() -> None:
    """Loads all that decoding will need: afterwards no file can be opened."""
    tiny = Image.new("RGB", (header.MIN_SIDE, header.MIN_SIDE))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    profile = ImageCms.ImageCmsProfile(_SRGB).tobytes()
    for name in ("PNG", "JPEG", "WEBP"):
        encoded = io.BytesIO()
        tiny.save(encoded, name, exif=exif, icc_profile=profile.replace(*OTHER_NAME))
        clean(io.BytesIO(encoded.getvalue()), io.BytesIO())()
