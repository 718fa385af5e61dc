"""Polls a paid task until it ends, or until the time to watch it is over.

A poll costs nothing: one that fails is repeated with growing pauses. Only the vendor's report on the task itself ends
the polling early.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import dataclass

from services.providers.circuit_breaker import CircuitBreaker
from services.providers.vendor import Charge, Failed, Finished, Vendor, VendorRequestFailed, Working
from services.reasons import VendorReason

log = logging.getLogger(__name__)

AGE_SHARE = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class PollSchedule:
    """When to poll, in seconds."""

    look_every_s: float = 2.0
    """While a task is young."""
    look_seldom_s: float = 10.0
    """When it is old: a poll takes a millisecond or two, and a thousand tasks need a thousand polls."""
    longest_pause_s: float = 30.0
    """Between polls that fail; at most ten times this when the vendor requests a longer pause."""
    watch_s: float = 1800.0
    long_watch_s: float = 28800.0
    """For models whose work may take hours: 30 s a second of video, for 600 s of it, makes five."""


async def poll(
    vendor: Vendor, ref: str, model: str, *, schedule: PollSchedule, breaker: CircuitBreaker, wakeup: asyncio.Event
) -> AsyncGenerator[Working | Finished, None]:
    """Yields the state at each poll, and Finished last. `wakeup` starts the next poll early.

    Raises:
        Failed: the vendor reports that there will be no video, or the time to watch it is over; then it is resumable.
    """
    loop = asyncio.get_running_loop()
    watch_s = schedule.long_watch_s if vendor.models[model].long else schedule.watch_s
    began = loop.time()
    ends = began + watch_s
    failures = 0
    while True:
        wakeup.clear()
        pause_s = _regular_pause_s(schedule, loop.time() - began)
        try:
            seen = await vendor.look(ref, model)
        except VendorRequestFailed as failed:
            failures += 1
            if failed.down:
                breaker.failed()
            pause_s = pause_after_s(schedule, failures, failed.retry_delay_s)
            log.warning("look failed", extra={"cause": str(failed), "failures": failures})
        else:
            failures = 0
            breaker.succeeded()
            yield seen
            if isinstance(seen, Finished):
                return
        left_s = ends - loop.time()
        if left_s <= 0:
            raise Failed(
                f"The vendor was not done within {watch_s:.0f} seconds of watching; the task may still be going on.",
                reason=VendorReason.TIMED_OUT,
                charge=Charge.UNKNOWN,
                resumable=True,
            )
        # Not wait_for: in Python 3.11 it swallows a cancel that comes together with the wakeup.
        with suppress(TimeoutError):
            async with asyncio.timeout(min(pause_s, left_s)):
                await wakeup.wait()


def _regular_pause_s(schedule: PollSchedule, age_s: float) -> float:
    """Returns the pause after a successful poll: a share of the task's age, so that it delays the end little."""
    return min(max(schedule.look_every_s, AGE_SHARE * age_s), max(schedule.look_every_s, schedule.look_seldom_s))


def pause_after_s(schedule: PollSchedule, failures: int, requested_s: float | None) -> float:
    """Returns the seconds to wait after this number of failures in a row; the vendor requested `requested_s`."""
    if requested_s is not None:
        return min(max(requested_s, schedule.look_every_s), 10 * schedule.longest_pause_s)
    return float(min(schedule.longest_pause_s, schedule.look_every_s * 2 ** min(failures - 1, 20)))
