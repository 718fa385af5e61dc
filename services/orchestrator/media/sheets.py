"""Several frames of a video in one file: a storyboard, a contact sheet, an animated preview. Runs in the child only."""

import io
import math
from collections.abc import Callable, Mapping

from PIL import Image, ImageDraw, ImageFont

from services.orchestrator.domain.rendition import Recipe
from services.orchestrator.media.video_frames import TimedFrame

PREVIEW_FRAMES, PREVIEW_SIDE, PREVIEW_FRAME_MS, PREVIEW_QUALITY = 12, 320, 250, 60
CONTACT_FRAMES, CONTACT_SIDE, CONTACT_COLUMNS = 12, 320, 4
MARGIN, CAPTION, FONT_SIZE = 12, 22, 14
PAPER, INK = (24, 24, 27), (212, 212, 216)
TILES_LEAST, TILES_MOST, TILE_SIDE, STORYBOARD_QUALITY = 10, 100, 160, 75


def _tiles(frames: int, duration_s: float) -> tuple[int, int]:
    """One tile a second, at least and at most so many."""
    return min(frames, max(TILES_LEAST, min(TILES_MOST, math.ceil(duration_s)))), TILE_SIDE


LAYOUTS: Mapping[Recipe, Callable[[int, float], tuple[int, int]]] = {
    Recipe.PREVIEW: lambda frames, _: (min(frames, PREVIEW_FRAMES), PREVIEW_SIDE),
    Recipe.CONTACT: lambda frames, _: (min(frames, CONTACT_FRAMES), CONTACT_SIDE),
    Recipe.STORYBOARD: _tiles,
}
"""How many frames of a video a recipe takes, given their number and the duration, and their longest side."""


def animation(images: list[Image.Image]) -> bytes:
    """Returns an animated WebP that repeats."""
    file = io.BytesIO()
    first, *others = images
    options = {"quality": PREVIEW_QUALITY, "method": 2, "duration": PREVIEW_FRAME_MS, "loop": 0}
    first.save(file, "WEBP", save_all=True, append_images=others, **options)
    return file.getvalue()


def contact(frames: list[TimedFrame]) -> Image.Image:
    """Returns a sheet of frames, each with its time below."""
    width, height = frames[0].image.size
    columns = min(CONTACT_COLUMNS, len(frames))
    rows = math.ceil(len(frames) / columns)
    across, down = width + MARGIN, height + CAPTION + MARGIN
    sheet = Image.new("RGB", (columns * across + MARGIN, rows * down + MARGIN), PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(FONT_SIZE)
    for place, frame in enumerate(frames):
        left, top = MARGIN + place % columns * across, MARGIN + place // columns * down
        sheet.paste(frame.image, (left, top))
        middle = (left + width / 2, top + height + CAPTION / 2)
        draw.text(middle, clock(frame.time_s), INK, font, anchor="mm")
    return sheet


def storyboard(frames: list[TimedFrame], duration_s: float) -> tuple[Image.Image, str]:
    """Returns a sheet of tiles and its WebVTT. A cue names the sheet by its variant, and its tile by `#xywh`.

    A tile holds until the next one begins; the first from the start, the last to the end.
    """
    width, height = frames[0].image.size
    columns = math.ceil(math.sqrt(len(frames)))
    rows = math.ceil(len(frames) / columns)
    sheet = Image.new("RGB", (columns * width, rows * height))
    begins = [0.0, *(frame.time_s for frame in frames[1:])]
    ends = [*begins[1:], max(duration_s, begins[-1] + 0.001)]
    text = ["WEBVTT\n"]
    for place, (frame, begin, end) in enumerate(zip(frames, begins, ends, strict=True)):
        left, top = place % columns * width, place // columns * height
        sheet.paste(frame.image, (left, top))
        text.append(f"{clock(begin, 3)} --> {clock(end, 3)}\nstoryboard#xywh={left},{top},{width},{height}\n")
    return sheet, "\n".join(text)


def clock(seconds: float, digits: int = 1) -> str:
    """Returns a time as `0:01:02.5`, or as WebVTT writes it, with 3 digits: `00:01:02.500`."""
    ticks = round(seconds * 10**digits)
    whole, rest = divmod(ticks, 10**digits)
    hours, minutes, left = whole // 3600, whole // 60 % 60, whole % 60
    return f"{hours:0{2 if digits == 3 else 1}d}:{minutes:02d}:{left:02d}.{rest:0{digits}d}"
