"""The circuit breaker: when a vendor fails again and again, work is not handed to it for a while.

It only keeps new work away. What the vendor has already is looked at all the same: looks cost nothing, and one that
succeeds is how the breaker learns that the vendor is back.
"""

from services.providers.metrics import VendorMeter
from services.providers.system_clock import Clock


class CircuitBreaker:
    """Opens after so many failures in a row; after a rest lets one piece of work through, and closes if it is taken."""

    def __init__(self, clock: Clock, meter: VendorMeter, *, failures: int, rest_s: float) -> None:
        self._clock = clock
        self._limit = failures
        self._rest_s = rest_s
        self._failures = 0
        self._opened_at: float | None = None
        meter.show_breaker(lambda: self.is_open)

    def __repr__(self) -> str:
        state = "closed" if self._opened_at is None else "open"
        return f"<CircuitBreaker {state}, {self._failures} failures in a row>"

    @property
    def retry_time(self) -> float | None:
        """When the next piece of work is let through, in seconds since 1970; None while it is closed."""
        return None if self._opened_at is None else self._opened_at + self._rest_s

    @property
    def is_open(self) -> bool:
        """Whether nothing is let through now. After its rest it is not, though nobody knows yet that all is well."""
        retry_time = self.retry_time
        return retry_time is not None and self._clock() < retry_time

    def admit(self) -> float:
        """Returns 0 to let a piece of work through, or for how many seconds to stay away."""
        retry_time = self.retry_time
        if retry_time is None:
            return 0.0
        now = self._clock()
        if now < retry_time:
            return retry_time - now
        # One probe: whoever comes while it is out waits for another rest.
        self._opened_at = now
        return 0.0

    def succeeded(self) -> None:
        """The vendor answered as a vendor that works; a refusal is such an answer too."""
        self._failures = 0
        self._opened_at = None

    def failed(self) -> None:
        """The vendor could not be reached, gave no answer, or said that it is broken."""
        self._failures += 1
        if self._failures >= self._limit:
            self._opened_at = self._clock()
