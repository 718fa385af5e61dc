"""The prompts that were requested under a name: each is written once, and returned again unchanged.

A caller that goes away has its prompt written all the same, because it is paid for; when it comes back with the same
name and the same scene, it gets that one. It is best effort: another process, or this one after a restart,
has another memory or none.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from typing import Any

from services.providers.prompt.writer import Written

REMEMBERED = 1000


class PromptCache:
    """What one process has written, and is writing."""

    def __init__(self) -> None:
        self._tasks: OrderedDict[bytes, asyncio.Task[Written]] = OrderedDict()

    async def once(self, name: bytes, write: Callable[[], Coroutine[Any, Any, Written]]) -> Written:
        """Returns what was written under a name, or has it written now. Raises what `write` raises, uncached."""
        task = self._tasks.get(name)
        if task is None:
            task = self._tasks[name] = asyncio.create_task(write())
            task.add_done_callback(lambda ended: self._ended(name, ended))
        return await asyncio.shield(task)

    def _ended(self, name: bytes, task: asyncio.Task[Written]) -> None:
        if task.cancelled() or task.exception() is not None:
            self._tasks.pop(name, None)
        while len(self._tasks) > REMEMBERED:
            self._tasks.popitem(last=False)

    async def close(self) -> None:
        """Leaves what is being written."""
        writing = {task for task in self._tasks.values() if not task.done()}
        for task in writing:
            task.cancel()
        if writing:
            await asyncio.wait(writing)
