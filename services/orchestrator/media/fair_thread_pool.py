"""Threads that owners use in turns, so that no owner has to wait for all files of another one."""

import asyncio
import threading
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")


class FairThreadPool:
    """A few threads. An owner has at most half of them, and at least one; waiting owners are served in turn.

    Safe from any thread and any event loop. A call that is cancelled while it runs keeps its thread, and counts for its
    owner, until it is done.
    """

    def __init__(self, size: int, name: str) -> None:
        self._size, self._each = size, max(1, size // 2)
        self._threads = ThreadPoolExecutor(size, thread_name_prefix=name)
        self._lock = threading.Lock()
        self._running: Counter[str] = Counter()
        self._waiting: dict[str, deque[tuple[Future[Any], Callable[[], Any]]]] = {}
        """By owner; the owner that was served last is the last."""

    async def run(self, owner: str, work: Callable[[], T]) -> T:
        """Does the work in its turn and returns what it returns."""
        return await asyncio.wrap_future(self.submit(owner, work))

    def submit(self, owner: str, work: Callable[[], T]) -> "Future[T]":
        """Queues the work and returns its future."""
        future: Future[T] = Future()
        with self._lock:
            self._waiting.setdefault(owner, deque()).append((future, work))
        self._start()
        return future

    def _start(self) -> None:
        """Starts the work that may run now."""
        with self._lock:
            while self._running.total() < self._size and (owner := self._next()) is not None:
                queue = self._waiting.pop(owner)
                future, work = queue.popleft()
                if queue:
                    self._waiting[owner] = queue
                if future.set_running_or_notify_cancel():
                    self._running[owner] += 1
                    self._threads.submit(self._work, owner, future, work)

    def _next(self) -> str | None:
        return next((owner for owner in self._waiting if self._running[owner] < self._each), None)

    def _work(self, owner: str, future: "Future[Any]", work: Callable[[], Any]) -> None:
        try:
            result = work()
        except BaseException as error:
            self._done(owner)
            future.set_exception(error)
        else:
            self._done(owner)
            future.set_result(result)

    def _done(self, owner: str) -> None:
        with self._lock:
            self._running[owner] -= 1
            if not self._running[owner]:
                del self._running[owner]
        self._start()
