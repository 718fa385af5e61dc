"""What is stored about a job, for operators: the job, its holds, bookings, paid calls, queue entry and worker."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from services.orchestrator.domain.job import Job, State
from services.orchestrator.domain.ledger import Entry
from services.orchestrator.domain.paid_call import PaidCall


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFilter:
    """Which jobs of all tenants are listed. Empty: any."""

    tenant: str = ""
    user: str = ""
    """With a tenant."""
    state: State | None = None
    model: str = ""
    backend: str = ""
    since: datetime | None = None
    """Admitted then or later."""
    until: datetime | None = None
    """Admitted before."""


@dataclass(frozen=True, slots=True)
class JobRecord:
    """A job and where it runs."""

    job: Job
    backend: str


@dataclass(frozen=True, slots=True)
class JobPage:
    """A page of jobs."""

    records: Sequence[JobRecord]
    """The newest first."""
    next: str | None
    """Jobs with ids below this are on the next page; None: this is the last one."""


@dataclass(frozen=True, slots=True)
class JobHold:
    """What a job holds on one counter."""

    subject: str
    measure: str
    period: str
    amount: int
    settled: int | None
    """What of it was used; None while the hold is open."""


@dataclass(frozen=True, slots=True)
class QueueEntry:
    """A job's entry in a queue."""

    id: str
    status: str
    queue: str
    create_time: datetime
    start_time: datetime | None
    """When a worker took it."""
    delay_time: datetime | None
    """No worker takes it before this."""
    worker: str
    """That has or had it; empty: none."""
    beat_time: datetime | None
    """The last heartbeat of that worker; None: it is not on the list."""


@dataclass(frozen=True, slots=True)
class JobDetails:
    """Everything that is stored about a job."""

    record: JobRecord
    events: int
    holds: Sequence[JobHold]
    entries: Sequence[Entry]
    paid_calls: Sequence[PaidCall]
    queue_entry: QueueEntry | None
    """None: the queue has removed it."""


def id_from(time: datetime) -> str:
    """Returns what the ids of jobs since a time begin with, or are above: 48 bits of milliseconds, as of a UUID 7."""
    milliseconds = min(max(int(time.timestamp() * 1000), 0), 2**48 - 1)
    return f"{milliseconds:012x}"
