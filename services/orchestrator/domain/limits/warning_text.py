"""What a warning says to a person."""

from services.orchestrator.domain.limits.calendar import Per
from services.orchestrator.domain.limits.denial import PERIODS, WHO, amount, giver_of, reset_time, things
from services.orchestrator.domain.limits.measure import Unit
from services.orchestrator.domain.limits.status import LimitStatus
from services.orchestrator.domain.plan import Plan


def warning_text(status: LimitStatus, plan: Plan, time_zone: str) -> str:
    """Returns how much of a limit is used, in one sentence, and when it resets. The limit is at least 1."""
    limit, most, counted = status.limit, status.most or 1, status.used + status.held
    unit = limit.measure.unit
    of = "" if unit is Unit.JOBS else "of "
    has = "has" if limit.per is Per.AT_A_TIME else "has used"
    text = (
        f"{WHO[limit.subject]} {has} {amount(counted, unit)} of the {amount(most, unit)} {of}{things(limit)}"
        f" that {giver_of(limit, plan)} allows {PERIODS[limit.per]} ({counted * 100 // most} %)."
    )
    if status.period.end is None:
        return text
    return f"{text} It resets at {reset_time(status.period.end, time_zone)}."
