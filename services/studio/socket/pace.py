"""Pace: when a connection gets its next frame. Few frames wait for it at a time, of all its jobs together.

A client that acknowledges frames (`ack()` of the handler, which Python's client calls by itself) sets the pace. The
original page acknowledges none: it gets them about as fast as the video plays, as far as its connection takes them.
"""

import asyncio
from collections.abc import Callable

PENDING_MOST = 8
FIRST_ACK_S = 1.0
"""Seconds for a first acknowledgement; a client without one in this time is taken for one that sends none."""
AHEAD = 2.0
"""How much faster than it plays a video is sent to a client that acknowledges nothing."""
QUEUED_MOST, LOOK_S = 4, 0.05


class Pace:
    """Counts the frames that wait for an acknowledgement."""

    def __init__(self, waiting: Callable[[], int], first_ack_s: float = FIRST_ACK_S) -> None:
        """`waiting` returns how many packets the connection has not taken yet."""
        self._waiting, self._first_ack_s = waiting, first_ack_s
        self._pending = 0
        self.acknowledges: bool | None = None
        """None: it is not known yet."""
        self._acked = asyncio.Event()
        self._turn = asyncio.Lock()

    async def turn(self, fps: float) -> bool:
        """Waits until a frame may be sent. Returns whether it is to be acknowledged."""
        async with self._turn:
            if self.acknowledges is None and self._pending >= PENDING_MOST:
                await self._first()
            if self.acknowledges is False:
                await asyncio.sleep(1 / (AHEAD * max(1.0, fps)))
                while self._waiting() > QUEUED_MOST and not self.acknowledges:  # noqa: ASYNC110  the library has no event
                    await asyncio.sleep(LOOK_S)
                return False
            while self._pending >= PENDING_MOST:
                self._acked.clear()
                await self._acked.wait()
            self._pending += 1
            return True

    def acknowledge(self) -> None:
        """Notes that the client has a frame."""
        self._pending = max(0, self._pending - 1)
        self.acknowledges = True
        self._acked.set()

    async def _first(self) -> None:
        self._acked.clear()
        try:
            async with asyncio.timeout(self._first_ack_s):
                await self._acked.wait()
        except TimeoutError:
            self.acknowledges = False
