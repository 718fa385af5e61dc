"""Takes jobs off their queues: DBOS's own loop for a queue, in threads of ours, so that a notification can wake it.

DBOS looks at a queue every so often and has no public way to be woken. Looking often enough to start a job at once took
six percent of a core from an idle worker. Its loop pauses by waiting for the event that ends it; ours is such an event
that can be rung too. `queue_worker_thread` is not public: pyproject.toml pins the version, and
`test_a_ring_wakes_a_queue_at_once` holds it to what is used here.
"""

import asyncio
import logging
import threading
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from time import monotonic

from dbos import DBOS
from dbos._queue import queue_worker_thread

from services.orchestrator.ports.store import Signal

POLL_S = 0.5
"""How often a queue is looked at without a ring: for retries whose time has come, and lost notifications."""
REST_S = 0.01
"""Between two looks, at least."""
AGAIN_S = 0.05
"""From a ring's look to a second one: for what another worker held at the first."""
RING_S = 60.0
JOIN_S = 10.0

Entries = Callable[[str], AbstractAsyncContextManager[Signal]]
"""Store.entries."""

log = logging.getLogger(__name__)


class Bell(threading.Event):
    """The event that ends a queue's loop. A ring only ends the loop's pause."""

    def __init__(self) -> None:
        super().__init__()
        self._rung = threading.Event()
        self._again = False
        self._looked = 0.0

    def ring(self) -> None:
        """Ends the pause of whoever waits, or the next one."""
        self._rung.set()

    def set(self) -> None:
        """Ends the loop."""
        super().set()
        self._rung.set()

    def wait(self, timeout: float | None = None) -> bool:
        """Pauses until a ring, or for `timeout` seconds. Returns whether the loop is to end."""
        self._again = self._rung.wait(AGAIN_S if self._again else timeout)
        super().wait(max(0.0, self._looked + REST_S - monotonic()))
        if not self.is_set():
            self._rung.clear()
        self._looked = monotonic()
        return self.is_set()


class Dequeuer:
    """The loops of a worker's queues, from `start` to `stop`."""

    def __init__(self, entries: Entries) -> None:
        self._entries = entries
        self._bells: dict[str, Bell] = {}
        self._threads: list[threading.Thread] = []
        self._listening: list[asyncio.Task[None]] = []

    def start(self, dbos: DBOS, queues: Iterable[str]) -> None:
        """Begins to take jobs off these queues, which are registered. On the event loop that runs the jobs."""
        for queue in queues:
            bell = self._bells[queue] = Bell()
            thread = threading.Thread(target=_take, args=(bell, dbos, queue), name=f"queue-worker-{queue}", daemon=True)
            thread.start()
            self._threads.append(thread)
            self._listening.append(asyncio.create_task(self._listen(queue, bell), name=f"ring-{queue}"))

    def ring(self) -> None:
        """Has every queue looked at now: a slot is free."""
        for bell in self._bells.values():
            bell.ring()

    def stop(self) -> None:
        """Begins no more looks. A job that is just being taken may still come."""
        for bell in self._bells.values():
            bell.set()
        for task in self._listening:
            task.cancel()

    def join(self) -> None:
        """Waits, after `stop`, until no job is being taken. Blocking, and not on the event loop, which takes them."""
        for thread in self._threads:
            thread.join(JOIN_S)

    async def _listen(self, queue: str, bell: Bell) -> None:
        async with self._entries(queue) as signal:
            while True:
                if await signal.wait(RING_S):
                    bell.ring()


def _take(bell: Bell, dbos: DBOS, name: str) -> None:
    """Runs DBOS's loop, which only returns when it is to end or its queue is gone."""
    while not bell.is_set():
        try:
            queue = DBOS.retrieve_queue(name)
            if queue is not None:
                queue_worker_thread(bell, dbos, queue)
        except Exception:
            log.warning("a queue cannot be looked at", extra={"queue": name}, exc_info=True)
        bell.wait(POLL_S)
