"""The room of a shared backend, for the thread of its queue."""

import asyncio

from services.orchestrator.ports.shared_backend import SharedBackend

ANSWER_S = 30.0
"""Longest wait for the event loop."""


class SharedRoom:
    """Asks a backend of the event loop on which it was made."""

    def __init__(self, backend: SharedBackend) -> None:
        self._backend = backend
        self._loop = asyncio.get_running_loop()

    @property
    def slots(self) -> int:
        """Jobs that this worker may run at a time."""
        return self._backend.slots

    def reserve(self, running: int, wanted: int) -> int:
        """Reserves slots and returns their number. Raises Unavailable, TimeoutError."""
        reserving = asyncio.run_coroutine_threadsafe(self._backend.reserve(running, wanted), self._loop)
        return reserving.result(ANSWER_S)

    def give_back(self, count: int) -> None:
        """Gives back reserved slots."""
        self._loop.call_soon_threadsafe(self._backend.give_back, count)
