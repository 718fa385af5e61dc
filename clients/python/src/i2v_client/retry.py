"""When a call that was not answered is repeated, and when that stops.

Every call of this API may be repeated: a job's request_id makes its submission safe, the rest is idempotent by itself.
So every call that ends as Unreachable is repeated, with growing pauses, until there was no contact for the whole time
that the caller allows.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, Callable
from time import monotonic
from typing import Any, TypeVar

import grpc

from i2v_client.errors import Unreachable, error_of
from i2v_client.failure import Failure

FIRST_S = 0.1
MAX_S = 5.0
OUTAGE_S = 2.0
"""Seconds until an outage is reported: a server that only restarts is back before that."""
SILENCE_S = 45.0
"""A stream without a message for three of the server's heartbeats counts as broken."""

Response = TypeVar("Response")


class RetryPolicy:
    """Counts the time without contact, and waits between tries."""

    def __init__(
        self,
        retry_for_s: float,
        *,
        now: Callable[[], float] = monotonic,
        on_outage: Callable[[Unreachable], None] | None = None,
        connected: Callable[[], bool] = lambda: False,
        outage_s: float = OUTAGE_S,
    ) -> None:
        """`on_outage` is called once in each outage, `outage_s` after its first error, with the latest error.

        If there is a connection then, it is called only when that fails too: a stream may have no event yet.
        """
        self._retry_for_s = retry_for_s
        self._now = now
        self._on_outage = on_outage
        self._connected = connected
        self._outage_s = outage_s
        self._outage_timer: asyncio.TimerHandle | None = None
        self.contact()

    def contact(self) -> None:
        """The server has answered."""
        self._last_contact = self._now()
        self._tries = 0
        self.close()

    def close(self) -> None:
        """Drops the report of an outage that has begun."""
        self._report_next_error = False
        if self._outage_timer is not None:
            self._outage_timer.cancel()
            self._outage_timer = None

    def _outage_time_over(self) -> None:
        self._report_next_error = self._connected()
        if not self._report_next_error:
            self._report()

    def _report(self) -> None:
        if self._on_outage is not None:
            self._on_outage(self._error)

    async def wait(self, error: Unreachable) -> None:
        """Waits before the next try, at least as long as the server asks for. Raises the error if the time is over.

        The last try is made when the time ends, not before. There is always a second try, however long the first took,
        because the first may have been lost with a server that hangs, while another one answers.
        """
        self._error = error
        if self._outage_timer is None and self._on_outage is not None:
            # A timer, because the next try may take long to fail.
            self._outage_timer = asyncio.get_running_loop().call_later(self._outage_s, self._outage_time_over)
        elif self._report_next_error:
            self._report_next_error = False
            self._report()
        pause_s = min(FIRST_S * 2**self._tries, MAX_S) * random.uniform(0.5, 1.0)
        left_s = max(self._last_contact + self._retry_for_s - self._now(), 0.0)
        pause_s = max(min(pause_s, left_s), error.retry_after_s or 0.0)
        if pause_s > left_s or (not left_s and self._tries):
            raise error
        self._tries += 1
        await asyncio.sleep(pause_s)


async def messages(call: grpc.aio.UnaryStreamCall[Any, Response]) -> AsyncGenerator[Response, None]:
    """Yields the messages of a stream, and cancels the call when the reader stops.

    Raises:
        I2VError: the call failed; Unreachable also when no message came in time.
    """
    try:
        while True:
            async with asyncio.timeout(SILENCE_S):
                message = await call.read()
            if message is grpc.aio.EOF:
                return
            yield message  # type: ignore[misc]
    except grpc.aio.AioRpcError as error:
        raise error_of(error) from error
    except TimeoutError as error:
        silence = Failure(grpc.StatusCode.UNAVAILABLE, f"No message came for {SILENCE_S:.0f} s.")
        raise error_of(silence) from error
    finally:
        call.cancel()
