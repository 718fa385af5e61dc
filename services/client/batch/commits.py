"""The journal for many videos at once: their changes share transactions, so that the disk keeps up."""

import asyncio
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from services.client.batch.journal import Journal

Result = TypeVar("Result")


class Commits(Protocol):
    """Makes changes of the journal."""

    async def make(self, change: Callable[[], Result]) -> Result:
        """Returns the result of a change when it is safe on the disk. Raises OSError."""


class SharedCommits:
    """Commits what is waiting, in a thread, while the next changes gather."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._waiting: list[tuple[Callable[[], Any], asyncio.Future[Any]]] = []
        self._task: asyncio.Task[None] | None = None

    async def make(self, change: Callable[[], Result]) -> Result:
        """Returns the result of a change when it is safe on the disk. Raises OSError."""
        done: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((change, done))
        if self._task is None:
            self._task = asyncio.create_task(self._commit())
        return await done

    async def close(self) -> None:
        """Waits until nothing is being written."""
        if self._task is not None:
            await self._task

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
