"""Finds new work: polls each queue in a thread of its own, which a notification can wake.

DBOS has no public way to wake its loop, and polling often enough to start a job immediately used six percent of a core
in an idle worker.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from functools import partial
from time import monotonic
from typing import Protocol

from services.orchestrator.ports.signal import Signal
from services.orchestrator.worker.queue_claimer import AGAIN_S, POLL_S

REST_S = 0.01
"""Seconds between two polls, at least."""
PAUSE_S = 0.25
"""Seconds between two looks at a paused queue."""
SIGNAL_S = 60.0
"""Seconds that one wait for a notification lasts."""
JOIN_S = 10.0
"""Seconds that the end of one loop may take."""

Entries = Callable[[str], AbstractAsyncContextManager[Signal]]
"""Wakes when a job is put onto the queue of a backend, by any process."""
Paused = Callable[[str], bool]
"""Whether no job of a queue may be taken now."""

log = logging.getLogger(__name__)


class Claimer(Protocol):
    """Claims the jobs of one queue."""

    def poll(self, stopping: Callable[[], bool]) -> float:
        """Starts jobs in the free slots, and returns the seconds to the next poll."""


class WakeEvent(threading.Event):
    """The event that ends a queue's loop. A wake-up only ends the loop's pause."""

    def __init__(self, paused: Callable[[], bool] = lambda: False) -> None:
        """While `paused` says so, the loop does not go on."""
        super().__init__()
        self._paused = paused
        self._woken = threading.Event()
        self._again = False
        self._polled = 0.0

    def wake(self) -> None:
        """Ends the present pause, or the next one."""
        self._woken.set()

    def set(self) -> None:
        """Ends the loop."""
        super().set()
        self._woken.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Pauses until a wake-up, or for `timeout` seconds. Returns whether the loop must end."""
        # A second poll follows the one after a wake-up: another worker may have locked entries at the first.
        self._again = self._woken.wait(AGAIN_S if self._again else timeout)
        super().wait(max(0.0, self._polled + REST_S - monotonic()))
        while self._paused() and not super().wait(PAUSE_S):
            pass
        if not self.is_set():
            self._woken.clear()
        self._polled = monotonic()
        return self.is_set()


class NewWorkPoller:
    """The loops of a worker's queues, from `start` to `stop`."""

    def __init__(self, entries: Entries, paused: Paused) -> None:
        self._entries = entries
        self._paused = paused
        self._wake_events: dict[str, WakeEvent] = {}
        self._threads: list[threading.Thread] = []
        self._listening: list[asyncio.Task[None]] = []

    def start(self, claimers: Mapping[str, Claimer]) -> None:
        """Begins to poll these queues. Call it on the event loop that runs the jobs."""
        for queue, claimer in claimers.items():
            wake_event = self._wake_events[queue] = WakeEvent(partial(self._paused, queue))
            thread = threading.Thread(
                target=_poll, args=(wake_event, claimer, queue), name=f"queue-worker-{queue}", daemon=True
            )
            thread.start()
            self._threads.append(thread)
            self._listening.append(asyncio.create_task(self._listen(queue, wake_event), name=f"wake-{queue}"))

    def wake(self) -> None:
        """Makes every loop poll now: a slot is free."""
        for wake_event in self._wake_events.values():
            wake_event.wake()

    def stop(self) -> None:
        """Starts no more polls. A job that is being dequeued may still arrive."""
        for wake_event in self._wake_events.values():
            wake_event.set()
        for task in self._listening:
            task.cancel()

    def join(self) -> None:
        """Waits, after `stop`, until no job is being dequeued. Blocking; not for the event loop that runs the jobs."""
        for thread in self._threads:
            thread.join(JOIN_S)

    async def _listen(self, queue: str, wake_event: WakeEvent) -> None:
        async with self._entries(queue) as signal:
            while True:
                if await signal.wait(SIGNAL_S):
                    wake_event.wake()


def _poll(wake_event: WakeEvent, claimer: Claimer, name: str) -> None:
    """Polls a queue until the event is set."""
    pause_s = POLL_S
    while not wake_event.wait(pause_s):
        try:
            pause_s = claimer.poll(wake_event.is_set)
        except Exception:
            pause_s = POLL_S
            log.warning("a queue cannot be polled", extra={"queue": name}, exc_info=True)
