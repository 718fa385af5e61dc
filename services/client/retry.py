"""When a call that was not answered is made again, and when it is given up.

Every call of this API may be repeated: a job's request_id makes its submission safe, the rest is idempotent by itself.
So whatever is Unreachable is tried again, ever more slowly, until nothing was heard for longer than the caller waits.
"""

import asyncio
import random
from collections.abc import AsyncGenerator, Callable
from time import monotonic
from typing import Any, TypeVar

import grpc

from services.client.errors import Unreachable, error_of
from services.rpc.status_codes import Failure

FIRST_S = 0.1
MOST_S = 5.0
OUTAGE_S = 2.0
"""Seconds until an outage is reported: a server that only restarts is back before that."""
SILENCE_S = 45.0
"""A stream that brings nothing for three of the server's heartbeats is dead."""

Response = TypeVar("Response")


class RetryPolicy:
    """Counts the time without contact, and waits between tries."""

    def __init__(
        self,
        patience_s: float,
        *,
        now: Callable[[], float] = monotonic,
        on_outage: Callable[[Unreachable], None] | None = None,
        connected: Callable[[], bool] = lambda: False,
        outage_s: float = OUTAGE_S,
    ) -> None:
        """`on_outage` is called once in each outage, `outage_s` after its first error, with the latest error.

        If there is a connection then, it is called only when that fails too: a stream may have nothing to tell yet.
        """
        self._patience_s = patience_s
        self._now = now
        self._on_outage = on_outage
        self._connected = connected
        self._outage_s = outage_s
        self._notice: asyncio.TimerHandle | None = None
        self.contact()

    def contact(self) -> None:
        """Something came from the server."""
        self._since = self._now()
        self._tries = 0
        self.close()

    def close(self) -> None:
        """Reports no outage that has begun."""
        self._due = False
        if self._notice is not None:
            self._notice.cancel()
            self._notice = None

    def _end_of_notice(self) -> None:
        self._due = self._connected()
        if not self._due:
            self._report()

    def _report(self) -> None:
        if self._on_outage is not None:
            self._on_outage(self._error)

    async def wait(self, error: Unreachable) -> None:
        """Waits before the next try, at least as long as the server asks for. Raises the error if patience is over.

        The last try is made when patience ends, not before. There is always a second try, however long the first took,
        because the first may have been lost with a server that hangs, while another one answers.
        """
        self._error = error
        if self._notice is None and self._on_outage is not None:
            # A timer, because the next try may take long to fail.
            self._notice = asyncio.get_running_loop().call_later(self._outage_s, self._end_of_notice)
        elif self._due:
            self._due = False
            self._report()
        pause_s = min(FIRST_S * 2**self._tries, MOST_S) * random.uniform(0.5, 1.0)
        left_s = max(self._since + self._patience_s - self._now(), 0.0)
        pause_s = max(min(pause_s, left_s), error.retry_after_s or 0.0)
        if pause_s > left_s or (not left_s and self._tries):
            raise error
        self._tries += 1
        await asyncio.sleep(pause_s)


async def messages(call: grpc.aio.UnaryStreamCall[Any, Response]) -> AsyncGenerator[Response, None]:
    """Yields what a stream brings, and ends the call when the reader goes away.

    Raises:
        I2VError: the call failed; Unreachable also when it went silent.
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
        silence = Failure(grpc.StatusCode.UNAVAILABLE, f"Nothing was heard for {SILENCE_S:.0f} s.")
        raise error_of(silence) from error
    finally:
        call.cancel()
