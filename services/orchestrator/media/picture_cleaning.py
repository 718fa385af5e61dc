"""One hostile picture becomes one clean one: 8-bit sRGB, the right way up, no metadata. Runs in the child only.

The caller limits memory and time (decoder_process.py); this module limits everything that the header shows.
"""

import io
from collections.abc import Callable
from functools import partial
from typing import BinaryIO

import numpy as np
import pi_heif
import simplejpeg
from PIL import AvifImagePlugin, ExifTags, Image, ImageChops, ImageCms

from services.orchestrator.media import picture_header, picture_inspection, png_transparency
from services.orchestrator.media.perceptual_hash import perceptual_hash
from services.orchestrator.media.picture_encoding import QUALITY, Pixels, jpeg_quality, write_jpeg, write_png
from services.orchestrator.media.picture_header import Header, Refused
from services.reasons import AssetReason

# Ours are lower and refuse; Pillow's would only warn.
Image.MAX_IMAGE_PIXELS = None
# The child process has one core and little memory; it needs only the primary picture of a HEIC.
AvifImagePlugin.DEFAULT_MAX_THREADS = 1
pi_heif.register_heif_opener(decode_threads=1, thumbnails=False, depth_images=False, aux_images=False)

SIDEWAYS = 5
"""From this EXIF orientation on, width and height change places."""

_SRGB = ImageCms.createProfile("sRGB")
#: Makes a profile that counts as another than sRGB, for warming up.
OTHER_NAME = ("sRGB".encode("utf-16-be"), "Wide".encode("utf-16-be"))


def clean(source: BinaryIO, target: BinaryIO) -> Callable[[], dict[str, object]]:
    """Decodes `source`; what it returns encodes the picture into `target` and gives its media type and size.

    In two halves, because a failure of the first is the picture's fault and of the second is ours.

    Raises:
        Refused: the picture is beyond a limit; also MemoryError and any error of Pillow on broken data.
    """
    found = picture_inspection.inspect(source.read(picture_header.MAX_FILE_BYTES + 1))
    image = _open(found)
    quality, subsampling = QUALITY, "420" if found.format in ("WEBP", "HEIF") else "444"
    if found.format == "JPEG":
        quality, subsampling = jpeg_quality(image)
    rgb = _decoded(found, image)
    orientation = _orientation(image)  # only now: a PNG may have it behind its pixels
    del image
    if orientation >= SIDEWAYS:
        subsampling = "444" if subsampling != "420" else subsampling
    rgb = _upright(rgb, orientation)
    phash = perceptual_hash(rgb)

    def encode() -> dict[str, object]:
        if found.lossy:
            width, height = write_jpeg(rgb, target, quality, subsampling)
            media_type = "image/jpeg"
        else:
            width, height = write_png(rgb, target)
            media_type = "image/png"
        target.flush()
        return {"media_type": media_type, "width": width, "height": height, "phash": phash}

    return encode


def _open(found: Header) -> Image.Image:
    """Opens a picture without decoding it."""
    image = Image.open(io.BytesIO(found.data), formats=(found.format,))
    picture_header.check_size(*image.size)
    if found.width and image.size != (found.width, found.height):
        raise Refused(
            AssetReason.PICTURE_MALFORMED, "is broken: its parts disagree; save the picture again as PNG or JPEG"
        )
    # A HEIC may hold several pictures; the library opens the primary one.
    if found.format != "HEIF" and getattr(image, "n_frames", 1) != 1:
        raise picture_header.animated()
    return image


def _decoded(found: Header, image: Image.Image) -> Pixels:
    """Returns the picture as sRGB without transparency."""
    if found.format == "JPEG":
        return _of_jpeg(found, image)
    image = png_transparency.resolved(found, image)
    image.load()
    picture_header.check_size(*image.size)
    # An image from a file keeps its decoder, 600 MB for a large WebP, so only the pixels are kept.
    return _rgb(image._new(image.im))


def _of_jpeg(found: Header, image: Image.Image) -> Pixels:
    """Decodes a JPEG with a library that reports the decoder's warnings; Pillow would fill missing parts with grey.

    Raises:
        Refused: data are missing or damaged.
    """
    colours = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}[image.mode]
    # If the colours are subsampled again, they must not be interpolated here: so they stay as they were stored.
    kept = jpeg_quality(image)[1] != "444" and _orientation(image) < SIDEWAYS
    decode = partial(simplejpeg.decode_jpeg, found.data, colours, fastupsample=kept)
    try:
        pixels = decode()
    except ValueError as error:
        # Extra bytes (which a camera put behind data without an end marker) do no harm.
        if "extraneous" not in str(error) and ("Corrupt" in str(error) or "Premature" in str(error)):
            raise picture_header.truncated() from error
        pixels = decode(strict=False)
    if colours == "RGB" and not _profile(image):
        return pixels
    info = image.info
    image = Image.frombuffer(image.mode, image.size, pixels, "raw", image.mode, 0, 1)
    image.info = info
    if colours == "CMYK" and "adobe" in info:
        image = ImageChops.invert(image)  # Adobe stores inks inverted, and says so
        image.info = info
    return _rgb(image)


def _orientation(image: Image.Image) -> int:
    """Returns the EXIF orientation, 1 where there is none or it cannot be read: many cameras write broken EXIF."""
    try:
        value = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # Pillow raises a dozen kinds on broken EXIF; none of them is a broken picture
        return 1
    return value if isinstance(value, int) and 2 <= value <= 8 else 1


def _upright(image: Pixels, orientation: int) -> Pixels:
    transpose = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }
    if orientation in transpose:
        if isinstance(image, np.ndarray):
            image = Image.fromarray(image)
        image = image.transpose(transpose[orientation])
    return image


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16") or image.mode == "I":
        # Pillow's own conversion clips everything above 255 to white.
        image = image.point(lambda value: value * (1 / 256)).convert("L")
    if image.mode in ("LA", "PA") or ("transparency" in image.info and image.mode in ("1", "L", "P", "RGB")):
        image = image.convert("RGBA")
    elif image.mode == "P":
        image = image.convert("RGB")
    image = _in_srgb(image)
    if image.mode == "RGBA":
        # Pasting needs one more picture; Image.alpha_composite would need two.
        page = Image.new("RGB", image.size, "white")
        page.paste(image, mask=image)
        return page
    return image if image.mode == "RGB" else image.convert("RGB")


def _profile(image: Image.Image) -> ImageCms.ImageCmsProfile | None:
    """Returns the picture's colour profile, if there is one that can be read and changes something."""
    profile = image.info.get("icc_profile") or b""
    if not 0 < len(profile) <= picture_header.MAX_PROFILE_BYTES or image.mode not in ("RGB", "RGBA", "CMYK"):
        return None
    try:
        found = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        return None if ImageCms.getProfileDescription(found).startswith("sRGB") else found
    except (ImageCms.PyCMSError, OSError):
        return None


def _in_srgb(image: Image.Image) -> Image.Image:
    """Applies the picture's colour profile: phones store wide colours, which would look pale without it."""
    if (source := _profile(image)) is None:
        return image
    try:
        if image.mode == "CMYK":
            return ImageCms.profileToProfile(image, source, _SRGB, outputMode="RGB") or image
        ImageCms.profileToProfile(image, source, _SRGB, inPlace=True)
        return image
    except (ImageCms.PyCMSError, OSError):
        return image  # many profiles are broken, or meant for another kind of picture


def warm() -> None:
    """Loads all that decoding will need: afterwards no file can be opened."""
    tiny = Image.new("RGB", (picture_header.MIN_SIDE, picture_header.MIN_SIDE))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    profile = ImageCms.ImageCmsProfile(_SRGB).tobytes()
    for name in ("PNG", "JPEG", "WEBP", "AVIF"):
        encoded = io.BytesIO()
        tiny.save(encoded, name, exif=exif, icc_profile=profile.replace(*OTHER_NAME))
        clean(io.BytesIO(encoded.getvalue()), io.BytesIO())()
