"""A display with a picture: the newest frame, and under it a line with stage, progress and time."""

import asyncio
import os
import signal
import sys
from contextlib import suppress
from time import monotonic
from types import TracebackType
from typing import Self

from i2v.v1 import job_pb2
from PIL import Image

from services.client.event_descriptions import describe
from services.client.pictures.graphics import Style, drawn, fitted
from services.client.progress_display import Lines
from services.client.terminal import visible, width

MOST_COLUMNS, MOST_ROWS = 120, 40
"""What a picture takes at most, also of a terminal that says it is larger."""
LEAST_COLUMNS, LEAST_ROWS = 8, 4
"""A smaller terminal gets the line alone."""


class Panel(Lines):
    """Draws at the bottom of the terminal; notable events are lines above the picture."""

    def __init__(self, style: Style) -> None:
        super().__init__()
        self._style = style
        self._picture: Image.Image | None = None
        self._stage, self._progress, self._fragments = "queued", 0.0, 0
        self._drawn_at: os.terminal_size | None = None
        self._height = 0

    def __enter__(self) -> Self:
        asyncio.get_running_loop().add_signal_handler(signal.SIGWINCH, self._draw)
        super().__enter__()
        self._draw()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.get_running_loop().remove_signal_handler(signal.SIGWINCH)
        self._write("\x1b[0m\r\n")

    def show(self, picture: Image.Image) -> None:
        """Draws a frame in the place of the one before."""
        self._picture = picture
        self._draw()

    def event(self, event: job_pb2.JobEvent) -> None:
        """Moves the line; prints a notable event above the picture."""
        described = describe(event)
        if described.warning:
            self._warnings.append(described.warning)
        match event.WhichOneof("event"):
            case "progressed":
                self._stage, self._progress = event.progressed.stage, event.progressed.progress
            case "fragment_ready":
                self._fragments, self._progress = event.fragment_ready.index + 1, event.fragment_ready.progress
            case "succeeded":
                self._stage, self._progress = "succeeded", 1.0
        if described.notable:
            self.say(described.text)
        else:
            self._line()

    def _show_wait(self, waits: str) -> None:
        self._stage = waits.partition(",")[0]
        self._line()

    def say(self, text: str) -> None:
        """Prints the text above the picture."""
        self._write(self._home() + "\x1b[J" + visible(text) + "\r\n")
        self._height = 0
        self._draw()

    def _draw(self) -> None:
        """Draws picture and line, over the ones before if the terminal has the same size."""
        size = _size()
        start = self._home() if size == self._drawn_at else "\r\x1b[J"
        lines: list[str] = []
        if self._picture is not None and size.columns >= LEAST_COLUMNS and size.lines >= LEAST_ROWS:
            most = min(size.columns - 1, MOST_COLUMNS), min(size.lines - 2, MOST_ROWS)
            columns, rows = fitted(self._picture, *most, self._style)
            lines = drawn(self._picture, columns, rows, self._style)
        # The rows are made first, because a picture at the last row would scroll away from its place.
        made = "\r\n" * len(lines) + (f"\x1b[{len(lines)}A" if lines else "")
        self._drawn_at, self._height = size, len(lines)
        self._write(start + made + "".join(f"\r{line}\r\n" for line in lines) + self._text())

    def _line(self) -> None:
        self._write(self._text())

    def _text(self) -> str:
        text = visible(
            f"{self._stage} {self._progress:.0%}  fragments {self._fragments}  {monotonic() - self._began:.0f} s"
        )
        room = _size().columns - 1
        while text and width(text) > room:
            text = text[:-1]
        return f"\r{text}\x1b[K"

    def _home(self) -> str:
        """Moves the cursor to where the picture begins."""
        return "\r" + (f"\x1b[{self._height}A" if self._height else "")

    def _write(self, text: str) -> None:
        with suppress(BlockingIOError):
            sys.stderr.write(text)
            sys.stderr.flush()


def _size() -> os.terminal_size:
    with suppress(OSError):
        size = os.get_terminal_size(sys.stderr.fileno())
        if size.columns > 0 and size.lines > 0:
            return size
    return os.terminal_size((80, 24))
