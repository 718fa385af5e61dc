"""The result of an attempt: what the workflow that ran it must do next."""

from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

from services.orchestrator.domain.event import Cancelled, Failed, Reconciling, Rerouted, Retrying, Succeeded


@dataclass(frozen=True, slots=True)
class JobEnded:
    """The job is in a terminal state and settled: there is nothing left to do."""


@dataclass(frozen=True, slots=True)
class RetryAfter:
    """The same queue entry makes the next attempt, after a wait."""

    wait_s: float


@dataclass(frozen=True, slots=True)
class Requeued:
    """The job has a new queue entry, which makes the next attempt. This entry is done."""


@dataclass(frozen=True, slots=True)
class AwaitsReconciliation:
    """The outcome of a paid call is unknown. The reconciler continues or ends the job; this entry is done."""


@dataclass(frozen=True, slots=True)
class TakenOver:
    """The job belongs to another attempt or queue entry, or was ended elsewhere. This entry is done."""


AttemptResult = JobEnded | RetryAfter | Requeued | AwaitsReconciliation | TakenOver

FinalEvent = Succeeded | Failed | Cancelled | Reconciling | Rerouted | Retrying
"""Events that end an attempt."""


def result_of(event: FinalEvent, now: datetime) -> AttemptResult:
    """Returns what follows the event that ended an attempt."""
    match event:
        case Succeeded() | Failed() | Cancelled():
            return JobEnded()
        case Reconciling():
            return AwaitsReconciliation()
        case Rerouted() | Retrying(requeued=True):
            return Requeued()
        case Retrying(retry_time=retry_time):
            return RetryAfter(max(0.0, (retry_time - now).total_seconds()))
        case _:
            assert_never(event)
