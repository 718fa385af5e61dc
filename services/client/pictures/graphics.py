"""Pictures as text for a terminal: Kitty's graphics, iTerm2's inline images, Sixel, half blocks, or shades."""

import base64
import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from PIL import Image

PART = 4096
"""Characters of one of Kitty's parts."""
KITTY_ID = 720_132
"""The picture of this command; a new one replaces it."""
SHADES = " .:-=+*#%@"
SIXEL_COLOURS = 64
SIXEL_LARGEST = (640, 480)
"""Pixels. Each is sent, several times a second."""
SIXEL_RUN = re.compile(rb"(.)\1{3,}", re.DOTALL)


class Graphics(StrEnum):
    """How a terminal shows a picture."""

    KITTY = "kitty"
    ITERM = "iterm"
    SIXEL = "sixel"
    BLOCKS = "blocks"


class Colours(StrEnum):
    """Which colours the text of a terminal has."""

    TRUE = "true"
    INDEXED = "256"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Cell:
    """Size of a character in pixels."""

    width: int = 10
    height: int = 20


@dataclass(frozen=True, slots=True)
class Style:
    """How pictures are drawn."""

    graphics: Graphics = Graphics.BLOCKS
    colours: Colours = Colours.TRUE
    cell: Cell = Cell()


def fitted(picture: Image.Image, columns: int, rows: int, style: Style) -> tuple[int, int]:
    """Returns columns and rows of a picture in its own shape, at most those given and at least 1."""
    cell = style.cell
    if style.graphics is Graphics.SIXEL:
        columns, rows = min(columns, SIXEL_LARGEST[0] // cell.width), min(rows, SIXEL_LARGEST[1] // cell.height)
    shape = picture.width * cell.height / (picture.height * cell.width)
    wide = min(columns, max(1, round(rows * shape)))
    return wide, min(rows, max(1, round(wide / shape)))


def drawn(picture: Image.Image, columns: int, rows: int, style: Style) -> list[str]:
    """Returns a line for each row. The first draws the whole picture, unless it is made of characters."""
    draw: Callable[[Image.Image, int, int, Style], list[str]] = {
        Graphics.KITTY: _kitty,
        Graphics.ITERM: _iterm,
        Graphics.SIXEL: _sixel,
        Graphics.BLOCKS: _shades if style.colours is Colours.NONE else _blocks,
    }[style.graphics]
    return draw(picture.convert("RGB"), columns, rows, style)


def _over(rows: int, escape: str) -> list[str]:
    """Returns lines that the escape sequence draws over; the cursor is where it was."""
    return [f"\x1b7{escape}\x1b8", *[""] * (rows - 1)]


def _kitty(picture: Image.Image, columns: int, rows: int, style: Style) -> list[str]:
    data = base64.standard_b64encode(_written(_not_larger(picture, columns, rows, style.cell), "PNG")).decode()
    parts = [data[at : at + PART] for at in range(0, len(data), PART)]
    head = f"a=T,f=100,i={KITTY_ID},p=1,q=2,C=1,c={columns},r={rows},"
    last = len(parts) - 1
    sent = (f"\x1b_G{head if not n else ''}m={int(n < last)};{part}\x1b\\" for n, part in enumerate(parts))
    return _over(rows, "".join(sent))


def _iterm(picture: Image.Image, columns: int, rows: int, style: Style) -> list[str]:
    data = _written(_not_larger(picture, columns, rows, style.cell), "JPEG")
    facts = f"inline=1;size={len(data)};width={columns};height={rows};preserveAspectRatio=0;doNotMoveCursor=1"
    return _over(rows, f"\x1b]1337;File={facts}:{base64.standard_b64encode(data).decode()}\x07")


def _sixel(picture: Image.Image, columns: int, rows: int, style: Style) -> list[str]:
    scaled = _scaled(picture, columns, rows, style.cell)
    height = scaled.height - scaled.height % 6 or scaled.height  # a part of a band would leave the rows
    scaled = scaled.crop((0, 0, scaled.width, height))
    small = scaled.resize((-(-scaled.width // 4), -(-height // 4))).quantize(SIXEL_COLOURS)  # costs a tenth, for that
    reduced = scaled.quantize(palette=small, dither=Image.Dither.NONE)
    palette = (np.array(small.getpalette()).reshape(-1, 3) * 100 + 127) // 255
    pixels, across = np.asarray(reduced), np.arange(reduced.width)
    parts = [b'\x1bP0;1q"1;1;%d;%d' % reduced.size]
    parts += [b"#%d;2;%d;%d;%d" % (n, *colour) for n, colour in enumerate(palette)]
    for top in range(0, height, 6):
        band = pixels[top : top + 6]
        codes = np.full((len(palette), reduced.width), ord("?"), np.uint8)
        for row, colours in enumerate(band):
            codes[colours, across] += 1 << row
        for colour in np.unique(band):
            parts.append(b"#%d%b$" % (colour, SIXEL_RUN.sub(_counted, codes[colour].tobytes().rstrip(b"?"))))
        parts.append(b"-")
    return _over(rows, b"".join([*parts[:-1], b"\x1b\\"]).decode())


def _counted(run: re.Match[bytes]) -> bytes:
    """Returns Sixel's form of a repeated character."""
    return b"!%d%b" % (len(run[0]), run[1])


def _blocks(picture: Image.Image, columns: int, rows: int, style: Style) -> list[str]:
    pixels = np.asarray(picture.resize((columns, rows * 2), Image.Resampling.BOX)).astype(int)
    colour = _true if style.colours is Colours.TRUE else _indexed
    return [
        "".join(
            f"\x1b[38;{colour(*upper)};48;{colour(*lower)}m▀"
            for upper, lower in zip(pixels[row * 2], pixels[row * 2 + 1], strict=True)
        )
        + "\x1b[0m"
        for row in range(rows)
    ]


def _shades(picture: Image.Image, columns: int, rows: int, style: Style) -> list[str]:
    grey = np.asarray(picture.convert("L").resize((columns, rows), Image.Resampling.BOX))
    return ["".join(SHADES[value * len(SHADES) // 256] for value in row.astype(int)) for row in grey]


def _true(red: int, green: int, blue: int) -> str:
    return f"2;{red};{green};{blue}"


def _indexed(red: int, green: int, blue: int) -> str:
    return f"5;{16 + 36 * round(red / 51) + 6 * round(green / 51) + round(blue / 51)}"


def _scaled(picture: Image.Image, columns: int, rows: int, cell: Cell) -> Image.Image:
    return picture.resize((columns * cell.width, rows * cell.height), Image.Resampling.BILINEAR)


def _not_larger(picture: Image.Image, columns: int, rows: int, cell: Cell) -> Image.Image:
    """Returns the picture for a terminal that scales it: no larger than it is, because each pixel is sent."""
    return _scaled(picture, columns, rows, cell) if picture.width > columns * cell.width else picture


def _written(picture: Image.Image, form: str) -> bytes:
    to = io.BytesIO()
    picture.save(to, form, **({"compress_level": 1} if form == "PNG" else {"quality": 85}))
    return to.getvalue()
