"""The machine's time. The only place of a provider that asks for it."""

import time
from collections.abc import Callable

Clock = Callable[[], float]
"""Seconds since 1970."""


def system_clock() -> float:
    """Returns the machine's time in seconds since 1970."""
    return time.time()
