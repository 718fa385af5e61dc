"""HeadLimited: a connection of HTTP that is closed when it sends no whole head of a request in time.

Without it, uvicorn waits without end for a head that comes byte by byte, or not at all, and connections are limited.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol


class HeadLimited(H11Protocol):
    """Waits for a request for a limited time: after the beginning of the connection, and after each response."""

    head_s = 20.0
    """Seconds for a head; also for what an answered request has not sent yet of its body."""

    _wait: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begins to wait for the first request."""
        super().connection_made(transport)
        self._await_request()

    def on_response_complete(self) -> None:
        """Begins to wait for the next request."""
        super().on_response_complete()
        self._await_request()

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends the wait."""
        self._end_wait()
        super().connection_lost(exc)

    def _await_request(self) -> None:
        self._end_wait()
        self._wait = self.loop.call_later(self.head_s, self._close_without_request)

    def _end_wait(self) -> None:
        if self._wait is not None:
            self._wait.cancel()

    def _close_without_request(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.timeout_keep_alive_handler()
