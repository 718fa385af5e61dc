"""Why a limit refuses a job: for a person in one sentence, and for programs."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from services.errors import LimitViolation, QuotaExceeded
from services.orchestrator.domain.limits.asked_limit import AskedLimit
from services.orchestrator.domain.limits.calendar import Per
from services.orchestrator.domain.limits.limit import Limit, Subject
from services.orchestrator.domain.limits.measure import Jobs, Spend, StoredBytes, UnfinishedJobs, Unit
from services.orchestrator.domain.limits.status import LimitStatus
from services.orchestrator.domain.plan import Plan
from services.orchestrator.domain.price import show
from services.reasons import Reason, RequestReason

REASONS: dict[tuple[str, Subject], Reason] = {
    (Spend.kind, Subject.TENANT): RequestReason.TENANT_BUDGET_EXCEEDED,
    (Spend.kind, Subject.USER): RequestReason.USER_BUDGET_EXCEEDED,
    (UnfinishedJobs.kind, Subject.TENANT): RequestReason.TENANT_ACTIVE_JOBS_EXCEEDED,
    (UnfinishedJobs.kind, Subject.USER): RequestReason.USER_ACTIVE_JOBS_EXCEEDED,
}
WHO = {Subject.TENANT: "The tenant", Subject.USER: "The user", Subject.KEY: "The API key"}
PERIODS = {
    Per.DAY: "a day",
    Per.MONTH: "a calendar month",
    Per.ANNIVERSARY: "a month",
    Per.AT_A_TIME: "at a time",
}


def violations(asked: Iterable[AskedLimit], plan: Plan, time_zone: str) -> list[LimitViolation]:
    """Returns every limit that does not allow what is asked for, in the plan's order."""
    return [violation(each, plan, time_zone) for each in asked if each.exceeded]


def check(asked: Iterable[AskedLimit], plan: Plan, time_zone: str) -> None:
    """Raises QuotaExceeded with every limit that does not allow what is asked for."""
    if found := violations(asked, plan, time_zone):
        raise quota_exceeded(found)


def of_upload(statuses: Iterable[LimitStatus], size_bytes: int, plan: Plan, time_zone: str) -> QuotaExceeded | None:
    """Returns the refusal of a file by limits of stored bytes; None if they have room for it."""
    counted = [each for each in statuses if each.limit.measure == StoredBytes() and each.limit.subject != Subject.KEY]
    found = violations((AskedLimit(each, size_bytes) for each in counted), plan, time_zone)
    return quota_exceeded(found) if found else None


def quota_exceeded(found: Sequence[LimitViolation]) -> QuotaExceeded:
    """Returns the error of these violations. A caller that waits until `retry_time` passes all of them."""
    times = [each.resets_at for each in found]
    waiting_helps = all(time is not None for time in times) and all(each.limit >= each.asked for each in found)
    retry_time = max(time for time in times if time is not None) if waiting_helps else None
    return QuotaExceeded(found, retry_time=retry_time)


def violation(exceeded: AskedLimit, plan: Plan, time_zone: str) -> LimitViolation:
    """Returns why a limit that is exceeded refuses."""
    status, asked = exceeded.status, exceeded.asked or 0
    limit, most = status.limit, status.most or 0
    return LimitViolation(
        subject=limit.subject.value,
        measure=limit.measure.key,
        per=limit.per.value,
        plan=plan.name,
        limit=most,
        used=status.used + status.held,
        asked=asked,
        resets_at=status.period.end,
        description=_sentence(status, asked, most, plan, time_zone),
        reason=REASONS.get((limit.measure.kind, limit.subject), RequestReason.LIMIT_EXCEEDED),
    )


def _sentence(status: LimitStatus, asked: int, most: int, plan: Plan, time_zone: str) -> str:
    limit, who = status.limit, WHO[status.limit.subject]
    unit = limit.measure.unit
    counted = status.used + status.held
    giver = giver_of(limit, plan)
    if most == 0:
        advice = "Ask the operators." if limit.is_override else "Ask for another plan."
        return f"{giver[0].upper()}{giver[1:]} allows {who[0].lower()}{who[1:]} no {things(limit)}. {advice}"
    of = "" if unit is Unit.JOBS else "of "
    if unit is Unit.BYTES:
        has = f"{who} has {amount(counted, unit)} of {things(limit)}; {giver} allows {amount(most, unit)}"
        advice = "ask the operators" if limit.is_override else "ask for another plan"
        return f"{has}, and this file has {amount(asked, unit)}. Send a smaller file, or {advice}."
    if limit.per is Per.AT_A_TIME:
        has = f"{who} has {amount(counted, unit)} {of}{things(limit)}"
        has = has.removesuffix("s") if unit is Unit.JOBS and counted == 1 else has
        return f"{has}; {giver} allows {amount(most, unit)} at a time. Wait for one to end, or cancel one."
    resets = f"It resets at {reset_time(status.period.end, time_zone)}."
    if asked > most:  # waiting does not help
        resets = "That is more than the whole limit: ask for less."
    if unit is Unit.MICROS:
        return f"{who}'s budget of {show(most)} has {show(most - counted)} left; {show(asked)} is needed. {resets}"
    used = f"{who} has used {amount(counted, unit)} of {amount(most, unit)} {of}{things(limit)}"
    were = "was" if unit is Unit.JOBS and asked == 1 else "were"
    allowed = f"that {giver} allows {PERIODS[limit.per]}"
    return f"{used} {allowed}; {amount(asked, unit)} more {were} asked for. {resets}"


def giver_of(limit: Limit, plan: Plan) -> str:
    """Returns what a limit comes from, in words: the plan, or an override of it."""
    name = f"the plan {plan.display_name or plan.name}"
    return f"an override of {name}" if limit.is_override else name


def things(limit: Limit) -> str:
    """Returns what a limit counts, in words."""
    match limit.measure:
        case Jobs(operation, model, capability):
            kind = " ".join(each for each in (operation, model, capability) if each)
            return f"{kind} jobs" if kind else "jobs"
        case UnfinishedJobs():
            return "unfinished jobs"
    return {"spend": "spending", "seconds": "video", "queued": "queued jobs", "bytes": "stored files"}[
        limit.measure.kind
    ]


def amount(number: int, unit: Unit) -> str:
    """Returns an amount for people."""
    match unit:
        case Unit.MICROS:
            return show(number)
        case Unit.JOBS:
            return str(number)
        case Unit.MILLISECONDS:
            return f"{number / 1000:.15g} s"
        case Unit.BYTES:
            return f"{number / 1_000_000:.15g} MB"


def reset_time(time: datetime | None, time_zone: str) -> str:
    """Returns a moment for people, in a time zone: `2026-12-01 00:00 UTC`."""
    return "" if time is None else f"{time.astimezone(ZoneInfo(time_zone)):%Y-%m-%d %H:%M} {time_zone}"
