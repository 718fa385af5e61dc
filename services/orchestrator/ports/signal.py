"""A signal from the database: something may have happened to a job, or at a queue."""

from typing import Protocol


class Signal(Protocol):
    """Wakes a waiter when something happens to one job, or at one queue."""

    async def wait(self, timeout_s: float) -> bool:
        """Returns True once something may have happened since the last call, False after `timeout_s` of quiet."""
