"""Unread: notices that the reader of a connection takes nothing of what is written, and breaks the connection off."""

import asyncio
import fcntl
import socket
import struct
import sys
import termios
from collections.abc import Callable
from typing import Any


class Unread:
    """Looks at what waits to be taken, again and again: if it is the same at two looks, the connection ends."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, transport: Any, every_s: float, is_paused: Callable[[], bool]
    ) -> None:
        """`is_paused` returns whether so much waits that no more is written."""
        self._loop, self._transport, self._every_s, self._is_paused = loop, transport, every_s, is_paused
        self._pauses = 0
        self._seen: tuple[int, int] | None = None
        """Pauses and waiting bytes at the last look; None: then more could be written at any time."""
        self._timer = loop.call_later(every_s, self._look)

    def note_pause(self) -> None:
        """Counts how often so much waited that no more was written."""
        self._pauses += 1

    def end(self) -> None:
        """Ends the looks."""
        self._timer.cancel()

    def _look(self) -> None:
        waiting, seen, self._seen = self._transport.get_write_buffer_size(), self._seen, None
        # Nothing is added in a pause or before the end: so what is not less has not been taken.
        if waiting and (self._is_paused() or self._transport.is_closing()):
            waiting += _in_kernel(self._transport)
            self._seen = self._pauses, waiting
            if seen is not None and seen[0] == self._pauses and waiting >= seen[1]:
                break_off(self._transport)
                return
        self._timer = self._loop.call_later(self._every_s, self._look)


def break_off(transport: Any) -> None:
    """Drops what waits to be sent, also in the kernel: a reader may let it wait for days."""
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def _in_kernel(transport: Any) -> int:
    """Returns the bytes that the kernel has of a connection, and the reader has not taken."""
    given = fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, bytes(4))
    return int.from_bytes(given, sys.byteorder)
