"""The durable queue that hands admitted jobs to workers."""

from collections.abc import Awaitable, Callable
from typing import Protocol

RunJob = Callable[[str, str], Awaitable[None]]
"""Runs the job of an id for a queue entry. A return ends the entry; a cancel leaves it with this worker."""


class JobQueue(Protocol):
    """One worker's side of the queue: it takes entries of its backends whenever a slot is free.

    An entry is handed out again, to this or another worker, until a run of it returns.
    """

    def reserve(self) -> None:
        """Reserves the process for this queue until `close`. Raises RuntimeError if another queue still has it."""

    async def start(self, run: RunJob) -> None:
        """Begins to take entries; each runs as a task of this event loop."""

    def stop(self) -> None:
        """Takes no more entries. One that is being taken may still arrive."""

    async def close(self) -> None:
        """Stops, and returns when no entry can arrive any more. The runs must have ended."""
