"""A stream that is never silent for long: a caller that hears nothing cannot tell patience from a broken connection."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Generic, TypeVar

T = TypeVar("T")


class Heartbeat(Generic[T]):
    """Stands for a while in which nothing came."""


async def with_heartbeats(items: AsyncGenerator[T, None], every_s: float) -> AsyncGenerator[T | Heartbeat[T], None]:
    """Yields the items, and a Heartbeat whenever none has come for so long. Closes the items in the end."""
    waiting: asyncio.Task[T] | None = None
    try:
        while True:
            if waiting is None:
                waiting = asyncio.ensure_future(anext(items))
            done, _ = await asyncio.wait({waiting}, timeout=every_s)
            if not done:
                yield Heartbeat()
                continue
            task, waiting = waiting, None
            try:
                item = task.result()
            except StopAsyncIteration:
                return
            yield item
    finally:
        if waiting is not None:
            waiting.cancel()
            await asyncio.wait({waiting})
            if not waiting.cancelled():
                waiting.exception()  # Whoever leaves does not want to know, but asyncio wants it asked for.
        await items.aclose()
