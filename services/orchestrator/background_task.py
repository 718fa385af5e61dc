"""Tasks that run until their owner stops. One that fails is logged, counted and started again."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

AGAIN_S = 1.0
"""Seconds from a failure to the next start."""

log = logging.getLogger(__name__)


def run_in_background(
    stack: AsyncExitStack,
    work: Callable[[], Awaitable[None]],
    name: str,
    failed: Callable[[str], None],
    *,
    again_s: float = AGAIN_S,
) -> None:
    """Starts a task; leaving the stack cancels it and waits until it has ended, and raises nothing of the work's.

    If the work ends by itself, by an error or not, `failed` gets the name, and the work is started again after
    `again_s`.
    """
    stack.push_async_callback(_end, asyncio.create_task(_keep_running(work, name, failed, again_s), name=name))


async def _keep_running(
    work: Callable[[], Awaitable[None]], name: str, failed: Callable[[str], None], again_s: float
) -> None:
    task = asyncio.current_task()
    assert task is not None
    while True:
        try:
            await work()
            log.error("a background task ended; it is started again", extra={"task": name})
        except asyncio.CancelledError:
            if task.cancelling():
                raise
            # Something that the work waited for was cancelled, not the work.
            log.exception("a background task was interrupted; it is started again", extra={"task": name})
        except Exception:
            if task.cancelling():
                log.exception("a background task failed while it was stopped", extra={"task": name})
                return
            log.exception("a background task failed; it is started again", extra={"task": name})
        failed(name)
        await asyncio.sleep(again_s)


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait({task})
