"""Meter: a limit on a rate, with a reserve for bursts."""

from collections.abc import Callable
from time import monotonic


class Meter:
    """Counts what comes: units of a reserve that fills up with time."""

    def __init__(self, a_second: float, most: float, clock: Callable[[], float] = monotonic) -> None:
        self._a_second, self._most, self._clock = a_second, most, clock
        self._left, self._at = most, clock()

    def take(self, units: float = 1.0) -> bool:
        """Takes units, and returns whether there were enough. What was not there is owed, up to the whole reserve."""
        now = self._clock()
        self._left = min(self._most, self._left + (now - self._at) * self._a_second)
        self._at = now
        self._left = max(-self._most, self._left - units)
        return self._left >= 0

    @property
    def is_exhausted(self) -> bool:
        """Whether a whole reserve is owed."""
        return self._left <= -self._most
