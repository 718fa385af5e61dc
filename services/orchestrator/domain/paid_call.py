"""The paid call: one submission of a job to a vendor, as the journal keeps it.

    NONE ─Submitting─▶ SUBMITTING ─Accepted─▶ ACCEPTED ─an end─▶ CHARGED
     ▲                     │                     │
     └──────Released───────┴─────────────────────┘

A job hands over no task while an earlier one may cost money, and does not end without paying for one that may.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Call(StrEnum):
    """Where the paid call of a job is."""

    NONE = "none"
    """There is none, or it is certain that it costs nothing."""
    SUBMITTING = "submitting"
    """It is being made. Only the attempt that makes it may continue; no other may repeat it."""
    ACCEPTED = "accepted"
    """The vendor has the task, and its reference is journalled."""
    CHARGED = "charged"
    """The job has ended and has paid for it."""

    @property
    def live(self) -> bool:
        """Whether the vendor was or may be paid, and the job has not been charged yet."""
        return self in (Call.SUBMITTING, Call.ACCEPTED)


class Charge(StrEnum):
    """Whether a failed task was charged, as its provider reports."""

    NOT_CHARGED = "not-charged"
    """Certainly not charged."""
    UNKNOWN = "unknown"
    """It is not known yet."""
    CHARGED = "charged"
    """The vendor has charged it, or will."""


class Finding(StrEnum):
    """The result of a search for a submission whose answer was lost."""

    FOUND = "found"
    ABSENT = "absent"
    """The vendor certainly has no such task, and will not charge one."""
    UNKNOWN = "unknown"
    """The search has no result, or none yet."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a vendor found of a submission whose answer was lost."""

    finding: Finding
    external_ref: str = ""
    """With FOUND."""
    refund_window_s: float | None = None
    """Seconds after a submission within which the vendor refunds a task without a result; None: it promises nothing."""


@dataclass(frozen=True, slots=True)
class Submission:
    """What is stored of a call with the event Submitting."""

    model: str
    """The provider's name of the model."""


@dataclass(frozen=True, slots=True)
class Acceptance:
    """What is stored of a call with the event Accepted."""

    external_ref: str
    """The vendor's name of the task."""


Step = Submission | Acceptance
"""The part of a paid call that is stored with an event and is not in it: events are public."""


@dataclass(frozen=True, slots=True)
class PaidCall:
    """One row of the journal."""

    submission_id: str
    """Our id; the vendor gets it where its API has a field for it."""
    job_id: str
    attempt: int
    provider: str
    model: str
    """The provider's name of the model."""
    state: str
    """`submitting`, `accepted`, `charged` or `released`."""
    external_ref: str | None
    """The vendor's name of the task. Only operators see it, to compare invoices."""
    submit_time: datetime


@dataclass(frozen=True, slots=True)
class OwedCall:
    """A paid call, as an invoice may have it."""

    call: PaidCall
    tenant: str
    cost_micros: int
    """What the vendor is to be paid for it."""


def submission_id(job_id: str, attempt: int) -> str:
    """Returns the name of an attempt's one submission."""
    return f"{job_id}.{attempt}"
