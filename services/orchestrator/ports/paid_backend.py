"""A backend that is paid, and what is known of the money when it fails."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from services.orchestrator.domain.event import JobError
from services.orchestrator.domain.paid_call import Charge, Found, PaidCall
from services.orchestrator.ports.backend import AttemptFailed, Backend


class TaskFailed(AttemptFailed):
    """A task of paid work came to nothing, and this is known of the money."""

    def __init__(self, error: JobError, charge: Charge, *, wait_s: float = 0.0) -> None:
        """`wait_s`: how long the vendor wants to be left alone."""
        self.charge = charge
        self.wait_s = wait_s
        super().__init__(error)


@dataclass(frozen=True, slots=True)
class Availability:
    """Whether a vendor takes work now."""

    state: str
    """`available`, `broken` (its circuit breaker is open), `no-key`, `no-credit` or `unreachable`, also where
    another answers."""
    reason: str = ""
    """One sentence for a person; empty when available."""
    simulation: bool = False
    """It is a simulator, and no money is spent."""
    lacking: frozenset[str] = frozenset()
    """Models that cards name and that it does not know, by its own names."""


@runtime_checkable
class PaidBackend(Backend, Protocol):
    """A backend that costs money. What it yields while it generates is TaskSubmitting, TaskAccepted, Stage and Output.

    `generate` also raises TaskFailed. Closing its iterator neither stops nor refunds the task.
    """

    async def look(self) -> Availability:
        """Asks whether it takes work now. Raises nothing: what cannot be asked is unreachable."""

    async def stop(self, external_ref: str, model: str) -> bool:
        """Asks the vendor to stop a task; True when it did, and the task costs nothing. Raises Unavailable."""

    async def find(self, call: PaidCall) -> Found:
        """Looks for the task of a submission. Raises Unavailable."""
