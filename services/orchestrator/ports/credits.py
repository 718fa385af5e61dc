"""Credits and debits: what operators add to the limit on spending of the current month, or take from it."""

from dataclasses import dataclass
from typing import Protocol

from services.orchestrator.domain.audit import Act
from services.orchestrator.domain.caller import Caller


@dataclass(frozen=True, slots=True)
class Booking:
    """One credit or debit."""

    reference: str
    """Id of the request: a repeat of it books nothing."""
    caller: Caller
    """The tenant with its plan, and the user; the tenant as a whole if `user` is empty."""
    amount_micros: int
    """Positive: a credit. Negative: a debit."""


@dataclass(frozen=True, slots=True)
class Booked:
    """What may still be spent after a booking."""

    left_micros: int | None
    """By the user if one is named, else by the tenant. None: unlimited."""
    period: str
    repeated: bool = False
    """The booking had been made before."""


class Credits(Protocol):
    """Books credits. Raises services.errors.Unavailable if the database cannot be reached."""

    async def book(self, booking: Booking, act: Act) -> Booked:
        """Books a credit or a debit, with its ledger entry and its entry in the audit log, in one transaction.

        Raises NotFound; PreconditionFailed for a debit of more than what is left, and where no limit is; and
        RequestIdReused for a reference that belongs to another booking.
        """
