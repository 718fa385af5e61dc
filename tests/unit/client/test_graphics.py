"""Pictures as bytes for terminals, read back as their documents say."""

import base64
import io
import re
from time import monotonic

import numpy as np
import pytest
from PIL import Image

from services.client.pictures.graphics import SIXEL_LARGEST, Cell, Colours, Graphics, Style, drawn, fitted
from services.client.pictures.moving_picture import MovingPicture
from tests.support.live_fragments import fragments

COLOURS = [(230, 20, 20), (20, 220, 30), (10, 40, 230), (250, 250, 250)]
CELL = Cell(8, 16)


def quadrants(side: int) -> Image.Image:
    """Four colours: red and green above, blue and white below."""
    pixels = np.array(COLOURS, np.uint8).reshape(2, 2, 3).repeat(side // 2, 0).repeat(side // 2, 1)
    return Image.fromarray(pixels)


def from_sixel(text: str) -> Image.Image:
    """Reads Sixel as DEC's VT330/VT340 manual describes it, chapter 14."""
    head = re.fullmatch(r'\x1b7\x1bP[\d;]*q"1;1;(\d+);(\d+)(.*)\x1b\\\x1b8', text, re.DOTALL)
    assert head is not None
    width, height = int(head[1]), int(head[2])
    pixels, palette = np.zeros((height, width, 3), int), {}
    x = y = colour = 0
    for define, select, times, code, control in re.findall(
        r"#(\d+;2;\d+;\d+;\d+)|#(\d+)|(?:!(\d+))?([?-~])|([$-])", head[3]
    ):
        if define:
            number, _, *rgb = map(int, define.split(";"))
            palette[number] = [round(each * 255 / 100) for each in rgb]
        elif select:
            colour = int(select)
        elif control:
            x, y = 0, y + 6 * (control == "-")
        else:
            for bit in range(6):
                if (ord(code) - 63) >> bit & 1:
                    pixels[y + bit, x : x + int(times or 1)] = palette[colour]
            x += int(times or 1)
            assert x <= width
    return Image.fromarray(pixels.astype(np.uint8))


def from_iterm(text: str) -> Image.Image:
    """Reads an inline image as https://iterm2.com/documentation-images.html describes it."""
    head = re.fullmatch(r"\x1b7\x1b\]1337;File=([^:]+):([A-Za-z0-9+/=]+)\x07\x1b8", text)
    assert head is not None
    facts, data = dict(each.split("=") for each in head[1].split(";")), base64.b64decode(head[2], validate=True)
    assert (facts["inline"], facts["size"], facts["preserveAspectRatio"]) == ("1", str(len(data)), "0")
    assert int(facts["width"]) > 0 and int(facts["height"]) > 0
    return Image.open(io.BytesIO(data))


def from_kitty(text: str) -> Image.Image:
    """Reads a picture in parts as https://sw.kovidgoyal.net/kitty/graphics-protocol describes it."""
    parts = re.findall(r"\x1b_G([^;]*);([A-Za-z0-9+/=]*)\x1b\\", text)
    assert [dict(each.split("=") for each in keys.split(","))["m"] for keys, _ in parts] == [
        *"1" * (len(parts) - 1),
        "0",
    ]
    assert all(len(data) <= 4096 and (len(data) % 4 == 0) for _, data in parts)
    return Image.open(io.BytesIO(base64.b64decode("".join(data for _, data in parts))))


READERS = {Graphics.SIXEL: from_sixel, Graphics.ITERM: from_iterm, Graphics.KITTY: from_kitty}


@pytest.mark.parametrize("graphics", READERS)
@pytest.mark.parametrize("side", [16, 64, 900])
def test_a_picture_is_read_back_as_it_was(graphics: Graphics, side: int) -> None:
    style = Style(graphics, Colours.TRUE, CELL)
    columns, rows = fitted(quadrants(side), 40, 20, style)
    lines = drawn(quadrants(side), columns, rows, style)
    found = READERS[graphics](lines[0]).convert("RGB")
    assert (len(lines), "".join(lines[1:])) == (rows, "")
    for number, (x, y) in enumerate([(1, 1), (3, 1), (1, 3), (3, 3)]):
        pixel = np.array(found.getpixel((found.width * x // 4, found.height * y // 4)))
        assert np.abs(pixel - COLOURS[number]).max() < 12


@pytest.mark.parametrize("graphics", READERS)
def test_a_large_terminal_is_not_sent_more_pixels_than_it_needs(graphics: Graphics) -> None:
    style = Style(graphics, Colours.TRUE, Cell(20, 40))
    columns, rows = fitted(quadrants(224), 120, 40, style)
    found = READERS[graphics](drawn(quadrants(224), columns, rows, style)[0])
    most = SIXEL_LARGEST if graphics is Graphics.SIXEL else (224, 224)
    assert found.width <= most[0] and found.height <= most[1]


async def test_a_terminal_that_is_slow_gets_fewer_frames_and_the_last_one() -> None:
    shown: list[float] = []

    def slow(picture: Image.Image) -> None:
        until = monotonic() + 0.4
        while monotonic() < until:
            pass
        shown.append(until)

    [fragment] = fragments([9])
    await MovingPicture(slow).fragment(0, fragment)
    assert 1 <= len(shown) < 9
