"""The messages of a stream of responses: each write is counted and has a time limit."""

import asyncio
from collections.abc import Callable
from typing import Any

from services.errors import Unavailable
from services.reasons import CallReason


class ResponseMessages:
    """Writes the responses of one call. `close` must follow."""

    __slots__ = ("_context", "_headers_sent", "_limit", "_rejected", "_sent", "_taking_s")

    def __init__(
        self, context: Any, *, sent: Callable[[], None], rejected: Callable[[str], None], taking_s: float
    ) -> None:
        self._context = context
        self._sent = sent
        self._rejected = rejected
        self._taking_s = taking_s
        self._headers_sent = False
        self._limit: _WriteLimit | None = None

    async def write(self, message: Any) -> None:
        """Sends a message. Raises Unavailable when the caller takes nothing for too long."""
        if not self._headers_sent:
            self._headers_sent = True
            await self._send_headers()
        if self._limit is None:
            self._limit = _WriteLimit(self._taking_s)
        self._limit.write_began = self._limit.now()
        try:
            await self._context.write(message)
        except asyncio.CancelledError:
            if not self._limit.was_reached():
                raise
            self._rejected(CallReason.READER_STALLED)
            what = (
                f"The caller took nothing from this stream for {self._taking_s:g} s. Call again from where it stopped."
            )
            raise Unavailable(what, reason=CallReason.READER_STALLED) from None
        finally:
            self._limit.write_began = None
        self._sent()

    def close(self) -> None:
        """Ends the time limit of writes."""
        if self._limit is not None:
            self._limit.close()

    async def _send_headers(self) -> None:
        """Sends the headers separately, and always waits for that.

        gRPC would send them with the first message. While the caller does not take that message, a status could not be
        sent, and the call would end only with its connection.
        """
        sending = asyncio.ensure_future(self._context.send_initial_metadata(()))
        try:
            await asyncio.shield(sending)
        except asyncio.CancelledError:
            await asyncio.wait({sending})
            raise


class _WriteLimit:
    """Cancels the current task when one of its writes takes too long.

    One timer serves all writes of a stream: a new one for each message would cost a tenth of a stream's time.
    """

    __slots__ = ("_cancelling", "_limit_s", "_reached", "_task", "_timer", "now", "write_began")

    def __init__(self, limit_s: float) -> None:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        self.now = loop.time
        self.write_began: float | None = None
        """When the write in progress began; None between two writes."""
        self._task = task
        self._cancelling = task.cancelling()
        self._limit_s = limit_s
        self._reached = False
        self._timer = loop.call_later(limit_s, self._check)

    def was_reached(self) -> bool:
        """Returns whether this limit alone cancelled the task. Takes the cancel back."""
        return self._reached and self._task.uncancel() <= self._cancelling

    def close(self) -> None:
        self._timer.cancel()

    def _check(self) -> None:
        now = self.now()
        left_s = self._limit_s if self.write_began is None else self.write_began + self._limit_s - now
        if left_s <= 0:
            self._reached = True
            self._task.cancel()
        else:
            self._timer = asyncio.get_running_loop().call_later(left_s, self._check)
