"""The outcome of an attempt: how its work ended, as a value. All later decisions match on it."""

from dataclasses import dataclass

from services.orchestrator.attempt.result import TakenOver
from services.orchestrator.domain.event import JobError, VideoOutput
from services.orchestrator.domain.paid_call import Charge


@dataclass(frozen=True, slots=True)
class Made:
    """The video was made and stored."""

    output: VideoOutput


@dataclass(frozen=True, slots=True)
class Refused:
    """The job cannot be made; another attempt would not help."""

    error: JobError
    spent_micros: int = 0
    """What was paid for a prompt that was not delivered."""


@dataclass(frozen=True, slots=True)
class PaidTaskFailed:
    """A vendor's task failed."""

    error: JobError
    charge: Charge
    """Whether the vendor charged it."""
    wait_s: float = 0.0
    """The least wait before the next attempt, as the vendor asked."""


@dataclass(frozen=True, slots=True)
class TemporarilyUnavailable:
    """The backend, another service or one of our own resources is unavailable; another attempt may succeed."""

    error: JobError
    wait_s: float = 0.0
    """The least wait before the next attempt."""


@dataclass(frozen=True, slots=True)
class ReferenceTaken:
    """The vendor answered a submission with a task that belongs to another job."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """The job was asked to stop."""


@dataclass(frozen=True, slots=True)
class TimedOut:
    """The job's deadline passed."""


@dataclass(frozen=True, slots=True)
class Broke:
    """An error that is not the backend's: unusable output, or a fault of ours."""

    error: JobError


Ending = Made | Refused | PaidTaskFailed | TemporarilyUnavailable | ReferenceTaken | Stopped | TimedOut | Broke
"""Outcomes that an event of the job records."""
Outcome = Ending | TakenOver
