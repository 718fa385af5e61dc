"""The requests of one stream to a model."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any


class Requests:
    """Requests of one stream: `send` adds one, `close` ends them."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Any] = asyncio.Queue()
        self.sent = 0
        """Requests so far."""

    def send(self, message: Any) -> None:
        """Sends a request."""
        self.sent += 1
        self._queue.put_nowait(message)

    def close(self) -> None:
        """Sends no more."""
        self._queue.put_nowait(None)

    async def __aiter__(self) -> AsyncGenerator[Any, None]:
        while (message := await self._queue.get()) is not None:
            yield message
