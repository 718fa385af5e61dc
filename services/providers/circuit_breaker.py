"""The circuit breaker: a vendor that failed several times in a row gets no new tasks for a while.

The tasks that the vendor has already are still polled: a poll costs nothing, and one that succeeds closes the breaker.
"""

from services.providers.metrics import VendorMeter
from services.providers.system_clock import Clock


class CircuitBreaker:
    """Opens after so many failures in a row; after a rest admits one task, and closes if the vendor takes it."""

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
        """When the next task is admitted, in seconds since 1970; None while the breaker is closed."""
        return None if self._opened_at is None else self._opened_at + self._rest_s

    @property
    def is_open(self) -> bool:
        """Whether no task is admitted now. False after its rest, although it is not known whether the vendor works."""
        retry_time = self.retry_time
        return retry_time is not None and self._clock() < retry_time

    def admit(self) -> float:
        """Returns 0 if a task is admitted, or the seconds until one may be."""
        retry_time = self.retry_time
        if retry_time is None:
            return 0.0
        now = self._clock()
        if now < retry_time:
            return retry_time - now
        # One probe: the tasks that come before its outcome wait for another rest.
        self._opened_at = now
        return 0.0

    def succeeded(self) -> None:
        """The vendor answered normally; a refusal counts too."""
        self._failures = 0
        self._opened_at = None

    def failed(self) -> None:
        """The vendor could not be reached, gave no answer, or reported a failure of its own."""
        self._failures += 1
        if self._failures >= self._limit:
            self._opened_at = self._clock()
