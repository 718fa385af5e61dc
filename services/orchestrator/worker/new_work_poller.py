"""Finds new work: runs DBOS's own loop for a queue in our threads, so that a notification can wake it.

DBOS polls a queue and has no public way to be woken. Polling often enough to start a job immediately used six percent
of a core in an idle worker. DBOS's loop pauses by waiting for the event that ends it; we pass an event that can also
end the pause alone (a wake-up). `queue_worker_thread` is not public: pyproject.toml pins the version, and
`test_a_notification_wakes_a_queue_at_once` fails if it changes.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from time import monotonic

from dbos import DBOS
from dbos._queue import queue_worker_thread

from services.orchestrator.ports.signal import Signal

POLL_S = 0.5
"""Seconds between two polls without a wake-up: for retries that are due, and for lost notifications."""
REST_S = 0.01
"""Seconds between two polls, at least."""
AGAIN_S = 0.05
"""Seconds from the poll after a wake-up to a second poll: for entries that another worker had locked at the first."""
SIGNAL_S = 60.0
"""Seconds that one wait for a notification lasts."""
JOIN_S = 10.0
"""Seconds that the end of one loop may take."""

Entries = Callable[[str], AbstractAsyncContextManager[Signal]]
"""Queues.entries."""

log = logging.getLogger(__name__)


class WakeEvent(threading.Event):
    """The event that ends a queue's loop. A wake-up only ends the loop's pause."""

    def __init__(self) -> None:
        super().__init__()
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
        self._again = self._woken.wait(AGAIN_S if self._again else timeout)
        super().wait(max(0.0, self._polled + REST_S - monotonic()))
        if not self.is_set():
            self._woken.clear()
        self._polled = monotonic()
        return self.is_set()


class NewWorkPoller:
    """The loops of a worker's queues, from `start` to `stop`."""

    def __init__(self, entries: Entries) -> None:
        self._entries = entries
        self._wake_events: dict[str, WakeEvent] = {}
        self._threads: list[threading.Thread] = []
        self._listening: list[asyncio.Task[None]] = []

    def start(self, dbos: DBOS, queues: Iterable[str]) -> None:
        """Begins to dequeue jobs from these registered queues. Call it on the event loop that runs the jobs."""
        for queue in queues:
            wake_event = self._wake_events[queue] = WakeEvent()
            thread = threading.Thread(
                target=_take, args=(wake_event, dbos, queue), name=f"queue-worker-{queue}", daemon=True
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


def _take(wake_event: WakeEvent, dbos: DBOS, name: str) -> None:
    """Runs DBOS's loop, which returns only when it must end or its queue is gone."""
    while not wake_event.is_set():
        try:
            queue = DBOS.retrieve_queue(name)
            if queue is not None:
                queue_worker_thread(wake_event, dbos, queue)
        except Exception:
            log.warning("a queue cannot be polled", extra={"queue": name}, exc_info=True)
        wake_event.wait(POLL_S)
