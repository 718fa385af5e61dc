"""Holds: what a job sets aside of each limit that counts it."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from services.orchestrator.domain.asset import Asset
from services.orchestrator.domain.caller import Caller
from services.orchestrator.domain.job import Job
from services.orchestrator.domain.limits.calendar import Period
from services.orchestrator.domain.limits.limit import Limit, Subject
from services.orchestrator.domain.limits.measure import Demand, StoredBytes


class CounterName(NamedTuple):
    """Names a counter within a tenant.

    All code locks counters in the order of their names, and rows of jobs before them, so no two transactions wait for
    each other.
    """

    subject: str
    """Empty: the tenant; `user:…` or `key:…`."""
    measure: str
    period: str


@dataclass(frozen=True, slots=True)
class CountedLimit:
    """A limit with the counter that it has now for one caller."""

    limit: Limit
    period: Period
    counter: CounterName


@dataclass(frozen=True, slots=True)
class Hold:
    """What one job asks of one counter."""

    counter: CounterName
    amount: int
    most: int | None
    """The limit; None: unlimited."""


def limits_of(caller: Caller, now: datetime) -> list[CountedLimit]:
    """Returns every limit of the caller's plan, in the plan's order, and what is always counted."""
    limits = caller.plan.counted
    periods = {per: caller.calendar.period(per, now) for per in {limit.per for limit in limits}}
    counted = []
    for limit in limits:
        if (subject := _subject(limit.subject, caller)) is not None:
            period = periods[limit.per]
            counted.append(CountedLimit(limit, period, CounterName(subject, limit.measure.key, period.key)))
    return counted


def holds_of(job: Job, caller: Caller) -> list[Hold]:
    """Returns the holds of a new job, in the order in which their counters are locked."""
    demand = demand_of(job)
    holds = []
    for counted in limits_of(caller, job.create_time):
        asked = counted.limit.measure.asked(demand)
        if asked is not None:
            holds.append(Hold(counted.counter, asked, counted.limit.most))
    return sorted(holds, key=lambda hold: hold.counter)


def holds_of_upload(asset: Asset, caller: Caller) -> list[Hold]:
    """Returns the limits of stored bytes for a new asset, in the order in which their counters are locked."""
    limits = [each for each in limits_of(caller, asset.create_time) if each.limit.measure == StoredBytes()]
    holds = [
        Hold(each.counter, asset.size_bytes, each.limit.most) for each in limits if each.limit.subject != Subject.KEY
    ]
    return sorted(holds, key=lambda hold: hold.counter)


def demand_of(job: Job) -> Demand:
    """Returns what a job asks of the limits."""
    return Demand(
        quote_micros=job.quote_micros,
        duration_ms=job.spec.duration_ms or 0,
        operation=job.spec.operation.kind,
        models=job.spec.models or (job.spec.model,),
        capability=job.capability,
        resumes=job.resumes != "",
    )


def _subject(subject: Subject, caller: Caller) -> str | None:
    """Returns the name of a subject in counters; None if the caller has no such subject, as a token has no key."""
    match subject:
        case Subject.TENANT:
            return ""
        case Subject.USER:
            return f"user:{caller.user}"
        case Subject.KEY:
            return f"key:{caller.key}" if caller.key else None
