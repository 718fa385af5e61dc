"""Ctrl-C in two steps: the first is a wish that the program carries out, the second makes it leave at once."""

import asyncio
import signal
from types import TracebackType
from typing import Self


class Interrupt:
    """Counts Ctrl-C while its block runs; the second one cancels the block."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        """Set by the first Ctrl-C."""
        self.left = False
        """Whether a second one came."""

    def __enter__(self) -> Self:
        self._task = asyncio.current_task()
        self._before = signal.getsignal(signal.SIGINT)
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, self._hit)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.get_running_loop().remove_signal_handler(signal.SIGINT)
        signal.signal(
            signal.SIGINT, self._before
        )  # asyncio restores Python's own handler, which would raise instead of cancelling

    @property
    def leaves(self) -> str:
        """What a person has yet to do to leave at once."""
        return "Ctrl-C" if self.asked.is_set() else "Pressing Ctrl-C twice"

    def _hit(self) -> None:
        if self.asked.is_set() and self._task is not None:
            self.left = True
            self._task.cancel()
        self.asked.set()
