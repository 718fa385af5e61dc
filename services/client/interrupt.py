"""Ctrl-C in two steps: the first requests a cancel of the job, the second ends the program immediately."""

import asyncio
import signal
from types import TracebackType
from typing import Self


class Interrupt:
    """Counts Ctrl-C while its block runs; the second one cancels the block."""

    def __init__(self) -> None:
        self.cancel_requested = asyncio.Event()
        """Set by the first Ctrl-C."""
        self.detached = False
        """Whether a second one came."""

    def __enter__(self) -> Self:
        self._task = asyncio.current_task()
        self._before = signal.getsignal(signal.SIGINT)
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, self._pressed)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.get_running_loop().remove_signal_handler(signal.SIGINT)
        signal.signal(
            signal.SIGINT, self._before
        )  # asyncio restores Python's own handler, which would raise instead of cancelling

    @property
    def keys_to_detach(self) -> str:
        """What the user still has to press to end the program immediately."""
        return "Ctrl-C" if self.cancel_requested.is_set() else "Pressing Ctrl-C twice"

    def _pressed(self) -> None:
        if self.cancel_requested.is_set() and self._task is not None:
            self.detached = True
            self._task.cancel()
        self.cancel_requested.set()
