"""Pictures as text for a terminal: Kitty's graphics, iTerm2's inline images, Sixel, half blocks, or shades."""

import base64
import io
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

PART = 4096
"""Characters of one of Kitty's parts."""
KITTY_ID = 720_132
"""The picture of this command; a new one replaces it."""
SHADES = " .:-=+*#%@"
SIXEL_COLOURS = 128


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


def fitted(picture: Image.Image, columns: int, rows: int, cell: Cell) -> tuple[int, int]:
    """Returns columns and rows of a picture in its own shape, at most those given and at least 1."""
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
    data = base64.standard_b64encode(_png(_scaled(picture, columns, rows, style.cell))).decode()
    parts = [data[at : at + PART] for at in range(0, len(data), PART)]
    head = f"a=T,f=100,i={KITTY_ID},p=1,q=2,C=1,c={columns},r={rows},"
    last = len(parts) - 1
    sent = (f"\x1b_G{head if not n else ''}m={int(n < last)};{part}\x1b\\" for n, part in enumerate(parts))
    return _over(rows, "".join(sent))


def _iterm(picture: Image.Image, columns: int, rows: int, style: Style) -> list[str]:
    data = _png(_scaled(picture, columns, rows, style.cell))
    facts = f"inline=1;size={len(data)};width={columns};height={rows};preserveAspectRatio=0;doNotMoveCursor=1"
    return _over(rows, f"\x1b]1337;File={facts}:{base64.standard_b64encode(data).decode()}\x07")


def _sixel(picture: Image.Image, columns: int, rows: int, style: Style) -> list[str]:
    scaled = _scaled(picture, columns, rows, style.cell)
    height = scaled.height - scaled.height % 6 or scaled.height  # a part of a band would leave the rows
    reduced = scaled.crop((0, 0, scaled.width, height)).quantize(SIXEL_COLOURS)
    palette = (np.array(reduced.getpalette()).reshape(-1, 3) * 100 + 127) // 255
    pixels = np.asarray(reduced)
    text = [f'\x1bP0;1q"1;1;{reduced.width};{reduced.height}']
    text += [f"#{n};2;{r};{g};{b}" for n, (r, g, b) in enumerate(palette)]
    for top in range(0, height, 6):
        band = pixels[top : top + 6]
        weights = (1 << np.arange(len(band)))[:, None]
        for colour in np.unique(band):
            text.append(f"#{colour}{_runs(((band == colour) * weights).sum(axis=0) + 63)}$")
        text.append("-")
    return _over(rows, "".join([*text[:-1], "\x1b\\"]))


def _runs(codes: NDArray[np.integer[Any]]) -> str:
    """Returns Sixel's characters of one band and colour, with repeats counted."""
    starts = np.flatnonzero(np.diff(codes, prepend=-1))
    lengths = np.diff(starts, append=len(codes))
    return "".join(
        f"!{length}{chr(codes[at])}" if length > 3 else chr(codes[at]) * length
        for at, length in zip(starts, lengths, strict=True)
    )


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


def _png(picture: Image.Image) -> bytes:
    to = io.BytesIO()
    picture.save(to, "PNG", compress_level=1)
    return to.getvalue()
