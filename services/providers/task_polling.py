"""Polls a task that was paid for: looks again and again, whatever happens, until it ends or patience does.

No look can harm: one that fails is repeated with growing pauses. Only what the vendor says of the task itself ends the
watch before its time.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import dataclass

from services.providers.circuit_breaker import CircuitBreaker
from services.providers.vendor import Charge, Failed, Finished, Troubled, Vendor, Working

log = logging.getLogger(__name__)

AGE_SHARE = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class PollSchedule:
    """When to look, in seconds."""

    look_every_s: float = 2.0
    """While a task is young."""
    look_seldom_s: float = 10.0
    """When it is old: a look costs a millisecond or two, and a thousand tasks are a thousand looks."""
    longest_pause_s: float = 30.0
    """Between looks that fail; a vendor that asks for more gets at most ten times this."""
    watch_s: float = 1800.0
    long_watch_s: float = 28800.0
    """For models whose work may take hours: 30 s a second of video, for 600 s of it, makes five."""


async def poll(
    vendor: Vendor, ref: str, model: str, *, rhythm: PollSchedule, breaker: CircuitBreaker, wake: asyncio.Event
) -> AsyncGenerator[Working | Finished, None]:
    """Yields what the looks see, and Finished last. `wake` brings the next look forward.

    Raises:
        Failed: the vendor says that there will be no video, or patience ended; then it is resumable.
    """
    loop = asyncio.get_running_loop()
    patience_s = rhythm.long_watch_s if vendor.models[model].long else rhythm.watch_s
    began = loop.time()
    ends = began + patience_s
    failures = 0
    while True:
        wake.clear()
        pause_s = _calm_s(rhythm, loop.time() - began)
        try:
            seen = await vendor.look(ref, model)
        except Troubled as trouble:
            failures += 1
            if trouble.down:
                breaker.failed()
            pause_s = pause_after_s(rhythm, failures, trouble.retry_delay_s)
            log.warning("look failed", extra={"cause": str(trouble), "failures": failures})
        else:
            failures = 0
            breaker.succeeded()
            yield seen
            if isinstance(seen, Finished):
                return
        left_s = ends - loop.time()
        if left_s <= 0:
            raise Failed(
                f"The vendor was not done within {patience_s:.0f} seconds of watching; the task may still be going on.",
                reason="TIMED_OUT",
                charge=Charge.UNKNOWN,
                resumable=True,
            )
        # Not wait_for: in Python 3.11 it swallows a cancel that comes together with the wake.
        with suppress(TimeoutError):
            async with asyncio.timeout(min(pause_s, left_s)):
                await wake.wait()


def _calm_s(rhythm: PollSchedule, age_s: float) -> float:
    """Returns the pause after a look that went well: a share of the task's age, so that little is added to it."""
    return min(max(rhythm.look_every_s, AGE_SHARE * age_s), max(rhythm.look_every_s, rhythm.look_seldom_s))


def pause_after_s(rhythm: PollSchedule, failures: int, asked_s: float | None) -> float:
    """Returns the seconds to wait after this number of failures in a row; the last one asked for `asked_s`."""
    if asked_s is not None:
        return min(max(asked_s, rhythm.look_every_s), 10 * rhythm.longest_pause_s)
    return float(min(rhythm.longest_pause_s, rhythm.look_every_s * 2 ** min(failures - 1, 20)))
