"""ResumedWatch: the messages of a watch, over as many calls as it takes until it ends."""

import asyncio
import random  # noqa: TID251  for pauses alone
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import grpc

from services.rpc.status_codes import Failure, from_call
from services.studio.api_error import ApiError
from services.studio.streams.event_frame import Decode, EventFrame

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 2.0
SILENCE_S = 45.0
"""A call without a message for three of the API's heartbeats counts as broken."""
BROKEN = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
"""How a call ends when the API stops, or the connection to it breaks."""


class ResumedWatch:
    """Reads the messages. Each event comes once, in order."""

    def __init__(
        self,
        begin: Callable[[int], Any],
        decode: Decode,
        after: int,
        away_s: float,
        resumed: Callable[[], None],
        silence_s: float = SILENCE_S,
    ) -> None:
        """Reads what follows the event with the number `after`.

        `begin` begins a call for what follows a number; its messages are bytes. The API may be away for `away_s`.
        `resumed` is called when a call follows a broken one.
        """
        self.after = after
        """Number of the last event that was read, or that the reader had before."""
        self.begun = False
        """Whether the reader was promised a stream: from then a broken call is followed by another one."""
        self._begin, self._decode, self._away_s, self._resumed = begin, decode, away_s, resumed
        self._silence_s = silence_s
        self._loop = asyncio.get_running_loop()
        self._stopped = asyncio.Event()
        self._contact_s, self._tries, self._is_silent = self._loop.time(), 0, False
        self._call: Any = None
        # One timer for all messages: a time limit of its own for each would cost a fifth of the work.
        self._timer = self._loop.call_later(silence_s, self._look)

    async def read(self) -> EventFrame | None:
        """Returns the next message that says something; None: the watch was stopped. Raises ApiError."""
        while not self._stopped.is_set():
            if self._call is None:
                self._call = self._begin(self.after)
            try:
                message = await self._call.read()
                failure = Failure(grpc.StatusCode.UNAVAILABLE, "The stream ended early.")
            except grpc.aio.AioRpcError as error:
                message, failure = grpc.aio.EOF, from_call(error)
            except asyncio.CancelledError:
                if not (self._is_silent or self._stopped.is_set()):
                    raise
                message, failure = grpc.aio.EOF, Failure(grpc.StatusCode.UNAVAILABLE, "No message came.")
            if message is grpc.aio.EOF:
                await self._pause(failure)
                continue
            self._contact_s, self._tries, self.begun = self._loop.time(), 0, True
            frame = self._decode(message)
            if frame.sequence:
                if frame.sequence <= self.after:
                    continue
                self.after = frame.sequence
            if frame.data:
                return frame
        return None

    def stop(self) -> None:
        """Lets `read` return that there is nothing more."""
        self._stopped.set()
        self.close()

    def close(self) -> None:
        """Ends the call."""
        self._timer.cancel()
        if self._call is not None:
            self._call.cancel()

    def _look(self) -> None:
        """Ends a call that is silent."""
        left_s = self._contact_s + self._silence_s - self._loop.time()
        if left_s <= 0 and self._call is not None:
            self._is_silent = True
            self._call.cancel()
        self._timer = self._loop.call_later(max(left_s, 0.0) or self._silence_s, self._look)

    async def _pause(self, failure: Failure) -> None:
        """Waits before the next call. Raises ApiError if there is none: time does not help, or it is over."""
        self._call.cancel()
        self._call, self._is_silent = None, False
        busy = failure.code is grpc.StatusCode.RESOURCE_EXHAUSTED and failure.reason.endswith("_LIMIT_REACHED")
        lost = failure.code is grpc.StatusCode.INTERNAL and not failure.reason  # of a connection that a proxy closed
        left_s = self._contact_s + self._away_s - self._loop.time()
        if self._stopped.is_set():
            return
        if not self.begun or left_s <= 0 or not (failure.code in BROKEN or busy or lost):
            raise ApiError(failure)
        pause_s = min(FIRST_PAUSE_S * 2**self._tries, LONGEST_PAUSE_S) * random.uniform(0.5, 1.0)
        self._tries += 1
        self._resumed()
        with suppress(TimeoutError):
            async with asyncio.timeout(min(max(pause_s, failure.retry_after_s or 0.0), left_s)):
                await self._stopped.wait()
