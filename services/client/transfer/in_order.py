"""Work for many things, a few at a time, with the results in the order of the things."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


async def in_order(
    items: AsyncIterable[Item], work: Callable[[Item], Awaitable[Result]], at_once: int
) -> AsyncGenerator[Result, None]:
    """Yields the results. If one fails, the others are stopped; what it raises is raised here."""
    running = deque[asyncio.Task[Result]]()

    async def one(item: Item) -> Result:
        return await work(item)

    try:
        async for item in items:
            running.append(asyncio.create_task(one(item)))
            if len(running) >= at_once:
                yield await running.popleft()
        while running:
            yield await running.popleft()
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
