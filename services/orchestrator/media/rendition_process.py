"""Makes renditions. Runs in the child only.

The request says what to make and what was measured when the asset was stored. The files are written one after the other
into the target; the answer lists them in the same order, with their sizes.
"""

import io
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, BinaryIO

import av
import numpy as np
from PIL import Image

from services.orchestrator.domain.rendition import THUMBNAILS, Recipe, Variant
from services.orchestrator.media import picture_cleaning, sheets, sound_measure, video_frames
from services.orchestrator.media.decoder_process import Finish, Parent
from services.orchestrator.media.perceptual_hash import perceptual_hash
from services.orchestrator.media.picture_header import MAX_PIXELS, Refused
from services.orchestrator.media.waveform import waveform
from services.reasons import AssetReason

POSTER_QUALITY, THUMBNAIL_QUALITY = 88, 80
WEBP_EFFORT = 3
"""0 to 6. More makes the file a few per cent smaller, in twice the time."""


@dataclass(frozen=True, slots=True)
class File:
    """A rendition that was made."""

    variant: Variant
    media_type: str
    data: bytes
    width: int | None = None
    height: int | None = None


def make(source: BinaryIO, target: BinaryIO, parent: Parent) -> Finish:
    """Makes the renditions of one recipe.

    Raises:
        Refused: there is nothing that can be decoded; also any error of PyAV and Pillow on broken data.
    """
    return _work(parent.question, source, target)


def _work(asked: dict[str, Any], source: BinaryIO, target: BinaryIO) -> Finish:
    files, phash = _made(Recipe(asked["recipe"]), asked, source)

    def write() -> dict[str, object]:
        listed = []
        for file in files:
            target.write(file.data)
            listed.append([file.variant, file.media_type, len(file.data), file.width, file.height])
        target.flush()
        return {"files": listed, "phash": phash}

    return write


def _made(recipe: Recipe, asked: dict[str, Any], source: BinaryIO) -> tuple[list[File], int | None]:
    match recipe:
        case Recipe.STILLS:
            return _stills(asked["kind"], source)
        case Recipe.WAVEFORM:
            return [_picture(Variant.WAVEFORM, "PNG", waveform(source, asked["duration_s"]))], None
    count, side = sheets.LAYOUTS[recipe](asked["frames"], asked["duration_s"])
    frames = video_frames.spread(source, count, asked["frames"], asked["duration_s"], side)
    if recipe is Recipe.PREVIEW:
        data = sheets.animation([frame.image for frame in frames])
        width, height = frames[0].image.size
        return [File(Variant.PREVIEW, "image/webp", data, width, height)], None
    if recipe is Recipe.CONTACT:
        return [_picture(Variant.CONTACT, "PNG", sheets.contact(frames))], None
    sheet, text = sheets.storyboard(frames, asked["duration_s"])
    return [
        _picture(Variant.STORYBOARD, "JPEG", sheet, quality=sheets.STORYBOARD_QUALITY),
        File(Variant.STORYBOARD_VTT, "text/vtt", text.encode()),
    ], None


def _stills(kind: str, source: BinaryIO) -> tuple[list[File], int]:
    files = []
    if kind == "video":
        still = video_frames.first(source)
        files.append(_picture(Variant.POSTER, "JPEG", still, quality=POSTER_QUALITY))
    else:
        still = _stored_picture(source)
    phash = perceptual_hash(still)
    smaller = []
    for variant, side in sorted(THUMBNAILS.items(), key=lambda each: -each[1]):
        still = video_frames.within(still, side)  # from the next larger one, which costs less
        smaller.append(_picture(variant, "WEBP", still, quality=THUMBNAIL_QUALITY, method=WEBP_EFFORT))
    return files + smaller, phash


def _stored_picture(source: BinaryIO) -> Image.Image:
    """Decodes a stored picture, a JPEG at a part of its size."""
    image = Image.open(source, formats=("PNG", "JPEG"))
    if image.width * image.height > MAX_PIXELS:
        raise Refused(AssetReason.PICTURE_TOO_LARGE, f"is {image.width} x {image.height} pixels")
    most = 2 * max(THUMBNAILS.values())
    image.draft("RGB", (most, most))
    return image.convert("RGB")


def _picture(variant: Variant, form: str, image: Image.Image, **options: Any) -> File:
    file = io.BytesIO()
    image.save(file, form, **options)
    return File(variant, f"image/{form.lower()}", file.getvalue(), image.width, image.height)


def warm() -> None:
    """Loads all that the recipes need, by making each from a tiny file."""
    picture_cleaning.warm()
    sound_measure.warm()  # also what videos need
    tiny = io.BytesIO()
    with av.open(tiny, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=16, width=64, height=64, pix_fmt="yuv420p")
        for _ in range(2):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), "rgb24")))
        container.mux(stream.encode(None))
    asked = {"kind": "video", "frames": 2, "duration_s": float(Fraction(1, 8))}
    for recipe in (Recipe.STILLS, Recipe.PREVIEW, Recipe.STORYBOARD, Recipe.CONTACT):
        _work(asked | {"recipe": recipe}, io.BytesIO(tiny.getvalue()), io.BytesIO())()
    silence = sound_measure.silence()
    _work({"recipe": "waveform", "duration_s": 0.01}, silence, io.BytesIO())()
