"""Plays the frames of fragments as pictures, a few a second."""

import asyncio
import io
from collections.abc import Callable
from time import monotonic

from PIL import Image

from i2v_client.daemon_thread import in_daemon_thread

PICTURES_A_SECOND = 8
LARGEST = (640, 640)
"""Pixels of a picture that is kept."""


class MovingPicture:
    """Shows each fragment at the speed of the video. What cannot be decoded is left out."""

    def __init__(self, show: Callable[[Image.Image], None]) -> None:
        self._show = show

    async def fragment(self, index: int, data: bytes) -> None:
        """Shows the frames of a fragment."""
        found = await in_daemon_thread(lambda: pictures(data))
        ends = monotonic()
        for number, picture in enumerate(found, start=1):
            ends += 1 / PICTURES_A_SECOND
            if monotonic() < ends or number == len(found):  # a terminal that is slow gets fewer
                self._show(picture)
                await asyncio.sleep(max(0.0, ends - monotonic()))

    async def end(self, *, watched: bool) -> None:
        """Leaves the last frame."""


def pictures(data: bytes) -> list[Image.Image]:
    """Decodes a video and returns some of its frames, PICTURES_A_SECOND. Blocking."""
    import av  # only here: most commands decode nothing, and it takes a while to import

    found: list[Image.Image] = []
    try:
        with av.open(io.BytesIO(data), "r") as container:
            rate = container.streams.video[0].average_rate or 16
            step = max(1, round(rate / PICTURES_A_SECOND))
            for number, frame in enumerate(container.decode(video=0)):
                if number % step == 0:
                    picture = frame.to_image()  # type: ignore[no-untyped-call]
                    picture.thumbnail(LARGEST)
                    found.append(picture)
    except (av.error.FFmpegError, IndexError, ValueError):
        pass
    return found
