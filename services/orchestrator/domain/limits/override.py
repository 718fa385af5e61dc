"""Overrides: a limit of the plan that is another one for one user, for one API key or for the tenant as a whole."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from services.errors import InvalidInput, Violation
from services.orchestrator.domain.limits.calendar import Per
from services.orchestrator.domain.limits.limit import AMOUNT_MOST, Limit, Subject
from services.orchestrator.domain.limits.measure import Measure, StoredBytes, measure_of
from services.orchestrator.domain.plan import Plan
from services.reasons import AccessReason

MOST = 1000
"""Overrides of one tenant, at most: every process keeps them in memory."""


@dataclass(frozen=True, slots=True)
class Override:
    """One limit of one subject."""

    subject: str
    """`user:NAME`, `key:ID`, or empty for the tenant as a whole: as in the counters."""
    limit: Limit
    reason: str = ""
    actor: str = ""
    create_time: datetime | None = None


def subject_of(limit: Limit, user: str, key: str) -> str:
    """Returns the subject of a limit among those of one caller."""
    return {Subject.TENANT: "", Subject.USER: f"user:{user}", Subject.KEY: f"key:{key}"}[limit.subject]


def limit_of(text: str, most: int | None) -> Limit:
    """Returns the limit with a key such as `user spend month`, and its amount; None: unlimited. Raises InvalidInput."""
    try:
        subject, measure, per = _parts(text)
    except (KeyError, TypeError, ValueError):
        what = (
            f"is {text[:120]!r}; give the name that usage shows, such as `user spend month`: tenant, user or key, what"
            f" is counted, and {', '.join(Per)}"
        )
        raise InvalidInput([Violation("limit", what, AccessReason.LIMIT_UNKNOWN)]) from None
    if most is not None and not 0 <= most <= AMOUNT_MOST:
        what = f"is {most}; 0 to {AMOUNT_MOST} is allowed"
        raise InvalidInput([Violation("most", what, AccessReason.AMOUNT_OUT_OF_RANGE)])
    return Limit(measure, subject, per, most, is_override=True)


def _parts(text: str) -> tuple[Subject, Measure, Per]:
    """Splits at the first and the last space: names of models may contain spaces."""
    subject, _, rest = text.partition(" ")
    name, _, per = rest.rpartition(" ")
    measure, period = measure_of(name), Per(per)
    if measure.key != name or measure.at_a_time != (period is Per.AT_A_TIME):
        raise ValueError(text)
    if isinstance(measure, StoredBytes) and Subject(subject) is Subject.KEY:
        raise ValueError(text)
    return Subject(subject), measure, period


def overridden(plan: Plan, overrides: Iterable[Override], user: str, key: str) -> Plan:
    """Returns the plan with the overrides that hold for one user and key. A limit that the plan lacks is added."""
    own = {each.limit.key: each.limit for each in overrides if each.subject == subject_of(each.limit, user, key)}
    if not own:
        return plan
    changed = tuple(own.pop(limit.key, limit) for limit in plan.limits)
    return replace(plan, limits=(*changed, *own.values()))
