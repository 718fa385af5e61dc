"""The journal for many videos at once: their changes share transactions, so that the disk keeps up."""

import asyncio
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from services.client.batch.journal import Journal

Result = TypeVar("Result")


class Commits(Protocol):
    """Makes changes of the journal, in the order in which they come."""

    async def make(self, change: Callable[[], Result]) -> Result:
        """Returns the result of a change when it is safe on the disk. Raises OSError, also of an earlier `soon`."""

    def soon(self, change: Callable[[], Any]) -> None:
        """Makes a change that may be lost if the program is killed now, because the next call finds it out again."""


class SharedCommits:
    """Commits what is waiting, in a thread, while the next changes gather."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._waiting: list[tuple[Callable[[], Any], asyncio.Future[Any]]] = []
        self._task: asyncio.Task[None] | None = None
        self._failed: BaseException | None = None

    async def make(self, change: Callable[[], Result]) -> Result:
        """Returns the result of a change when it is safe on the disk. Raises OSError, also of an earlier `soon`."""
        result: Result = await self._add(change)
        if self._failed is not None:
            raise self._failed
        return result

    def soon(self, change: Callable[[], Any]) -> None:
        """Makes a change without waiting for it."""
        self._add(change).add_done_callback(self._keep_failure)

    async def close(self) -> None:
        """Waits until nothing is being written."""
        if self._task is not None:
            await self._task

    def _add(self, change: Callable[[], Any]) -> "asyncio.Future[Any]":
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append((change, done))
        if self._task is None:
            self._task = asyncio.create_task(self._commit())
        return done

    def _keep_failure(self, done: "asyncio.Future[Any]") -> None:
        if not done.cancelled() and (error := done.exception()) is not None:
            self._failed = error

    async def _commit(self) -> None:
        while self._waiting:
            taken, self._waiting = self._waiting, []
            try:
                results = await asyncio.to_thread(self._journal.commit, [change for change, _ in taken])
            except Exception as error:
                for _, done in taken:
                    if not done.done():
                        done.set_exception(error)
                continue
            for (_, done), result in zip(taken, results, strict=True):
                if not done.done():
                    done.set_result(result)
        self._task = None
