"""Tasks that run until their owner stops."""

import asyncio
from collections.abc import Coroutine
from contextlib import AsyncExitStack, suppress


def run_in_background(stack: AsyncExitStack, work: Coroutine[object, object, None], name: str) -> None:
    """Starts a task; leaving the stack cancels it and waits until it has ended."""
    stack.push_async_callback(_end, asyncio.create_task(work, name=name))


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
