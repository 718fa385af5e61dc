"""A backend that costs money, and whether a failed task was charged."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from services.orchestrator.domain.event import JobError
from services.orchestrator.domain.paid_call import Charge, Found, PaidCall
from services.orchestrator.ports.backend import AttemptFailed, Backend


class TaskFailed(AttemptFailed):
    """A task of paid work failed; says whether it was charged."""

    def __init__(self, error: JobError, charge: Charge, *, wait_s: float = 0.0) -> None:
        """`wait_s`: seconds that the vendor asks us to wait before the next task."""
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

    async def availability(self) -> Availability:
        """Returns whether it takes work now. Raises nothing: without an answer it is unreachable."""

    async def stop(self, external_ref: str, model: str) -> bool:
        """Has the vendor stop a task; returns whether it did, and the task costs nothing. Raises Unavailable."""

    async def find(self, call: PaidCall) -> Found:
        """Searches for the task of a submission. Raises Unavailable."""
