"""Adds heartbeats to a stream: without them a caller cannot distinguish a slow stream from a broken connection."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Generic, TypeVar

T = TypeVar("T")


class Heartbeat(Generic[T]):
    """No item came for a while."""


async def with_heartbeats(items: AsyncGenerator[T, None], every_s: float) -> AsyncGenerator[T | Heartbeat[T], None]:
    """Yields the items, and a Heartbeat whenever none has come for `every_s`. Closes the items at the end."""
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
                waiting.exception()  # Not used, but asyncio logs an exception that was never retrieved.
        await items.aclose()
