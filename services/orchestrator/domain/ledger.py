"""The ledger: every change of what a tenant's money is used for, one row each, only ever added.

The sums of the entries of a tenant, a user or a key over a period are what the counters of spending have.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from services.orchestrator.domain.job import Job
from services.orchestrator.domain.limits.hold import demand_of
from services.orchestrator.domain.limits.measure import Jobs, VideoSeconds, measure_of


class Kind(StrEnum):
    """What was booked."""

    RESERVE = "reserve"
    SETTLE = "settle"
    REFUND = "refund"
    """Of a job that was charged for a vendor's task which turned out to cost nothing."""
    CREDIT = "credit"
    """Added by hand to what may be spent."""
    DEBIT = "debit"
    """Taken by hand from what may be spent."""
    BALANCE = "balance"
    """The sum of old entries that were folded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One booking."""

    reference: str
    """The job, or the id of a credit or debit."""
    kind: Kind
    user: str
    """Empty: the tenant as a whole."""
    key: str = ""
    model: str = ""
    operation: str = ""
    capability: str = ""
    card_version: str = ""
    """Of the price card of the quote."""
    quote_id: str = ""
    reserved_micros: int = 0
    """Change of what is set aside."""
    spent_micros: int = 0
    """Change of what is spent."""
    credit_micros: int = 0
    """Change of what may be spent on top of the limit."""
    jobs: int = 0
    """Change of the number of jobs that brought a video or cost something."""
    video_ms: int = 0
    """Change of the length of videos, in milliseconds."""
    vendor_micros: int = 0
    """Change of what vendors are paid."""
    slot_ms: int = 0
    """Milliseconds in which attempts had slots of a local backend."""
    reason: str = ""
    actor: str = ""
    period_time: datetime
    """Decides in which period it counts: the time of the job's admission."""
    time: datetime


def settlement(job: Job, now: datetime, slot_ms: int = 0) -> Entry:
    """Returns the entry of a job that has ended: its charge takes the place of its quote."""
    jobs, video_ms = _counts(job)
    charged = job.charged_micros or 0
    entry = _entry(job, Kind.SETTLE, now, -job.quote_micros, charged, jobs, video_ms)
    return replace(entry, vendor_micros=job.vendor_micros, slot_ms=slot_ms)


def refund(job: Job, now: datetime) -> Entry:
    """Returns the entry that gives the price of an ended job back, and takes back what it counted for."""
    jobs, video_ms = _counts(job)
    jobs_left, video_ms_left = _counts(refunded(job))
    entry = _entry(job, Kind.REFUND, now, 0, -job.price_micros, jobs_left - jobs, video_ms_left - video_ms)
    return replace(entry, vendor_micros=-job.price_micros)


def refunded(job: Job) -> Job:
    """Returns an ended job as if it had never been charged its price."""
    return replace(job, charged_micros=(job.charged_micros or 0) - job.price_micros)


def used(measures: Sequence[str], amounts: Sequence[int], job: Job) -> list[int]:
    """Returns what an ended job has used of each of its holds."""
    return [measure_of(key).used(amount, job) for key, amount in zip(measures, amounts, strict=True)]


def _counts(job: Job) -> tuple[int, int]:
    """Returns what an ended job counts for: jobs, and milliseconds of video."""
    demand = demand_of(job)
    jobs, video = Jobs(), VideoSeconds()
    return jobs.used(jobs.asked(demand) or 0, job), video.used(video.asked(demand) or 0, job)


def _entry(job: Job, kind: Kind, now: datetime, reserved: int, spent: int, jobs: int, video_ms: int) -> Entry:
    return Entry(
        reference=job.id,
        kind=kind,
        user=job.user,
        key=job.key,
        model=job.spec.model,
        operation=job.spec.operation.kind,
        capability=job.capability,
        card_version=job.card_version,
        quote_id=job.quote_id,
        reserved_micros=reserved,
        spent_micros=spent,
        jobs=jobs,
        video_ms=video_ms,
        period_time=job.create_time,
        time=now,
    )
