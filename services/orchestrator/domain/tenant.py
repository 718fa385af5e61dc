"""A tenant: its state, its plan and the plan that follows, and the calendar of its periods.

The functions decide a change without I/O: each returns the changed tenant, or raises the refusal.
"""

import re
from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import StrEnum
from functools import cache
from zoneinfo import available_timezones

from services.errors import InvalidInput, PreconditionFailed, Violation
from services.orchestrator.domain.limits.calendar import BillingCalendar, Per
from services.reasons import AccessReason

ID = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
"""The form of an id. It becomes a part of blob keys."""


class TenantState(StrEnum):
    """Whether a tenant may use the service."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    """It reads and downloads what it has, and cancels. It submits and uploads nothing. Admitted jobs go on."""
    DELETED = "deleted"
    """Its keys are revoked. The ledger stays; retention removes jobs and assets."""


@dataclass(frozen=True, slots=True)
class Tenant:
    """A tenant."""

    id: str
    plan: str
    """Name of the plan; `plan_at` has the one that holds."""
    state: TenantState = TenantState.ACTIVE
    time_zone: str = "UTC"
    """Name of the IANA database."""
    anniversary: date = date(2000, 1, 1)
    """Anniversary months begin on its day of the month."""
    next_plan: str = ""
    """Holds from `next_plan_time` on; empty: none is planned."""
    next_plan_time: datetime | None = None
    create_time: datetime | None = None
    delete_time: datetime | None = None

    def plan_at(self, now: datetime) -> str:
        """Returns the name of the plan that holds at a moment."""
        return self.next_plan if self.next_plan_time is not None and self.next_plan_time <= now else self.plan

    @property
    def calendar(self) -> BillingCalendar:
        """The calendar of its periods."""
        return BillingCalendar(self.time_zone, self.anniversary)


@dataclass(frozen=True, slots=True)
class Holdings:
    """What a tenant has: what its suspension or deletion is about."""

    unfinished_jobs: int
    queued_jobs: int
    """Of the unfinished ones, those that have not begun."""
    reserved_micros: int
    """Reserved for the unfinished jobs."""
    jobs: int
    assets: int
    asset_bytes: int
    keys: int
    """API keys that work now."""


def demand_id(tenant_id: str, field: str = "tenant") -> None:
    """Raises InvalidInput if a text is no tenant's id."""
    if not ID.fullmatch(tenant_id):
        what = f"is {tenant_id[:80]!r}; an id is 1 to 63 of a-z, 0-9 and -, and does not begin with -"
        raise InvalidInput([Violation(field, what, AccessReason.TENANT_ID_MALFORMED)])


def demand_time_zone(name: str, field: str = "time_zone") -> None:
    """Raises InvalidInput if the IANA database has no such time zone."""
    if name not in _time_zones():
        what = f"is {name[:80]!r}; give a name of the IANA database, such as Europe/Berlin"
        raise InvalidInput([Violation(field, what, AccessReason.TIME_ZONE_UNKNOWN)])


@cache
def _time_zones() -> frozenset[str]:
    return frozenset(available_timezones())


def suspend(tenant: Tenant) -> Tenant:
    """Suspends an active tenant; a suspended one stays as it is. Raises PreconditionFailed."""
    demand_not_deleted(tenant)
    return replace(tenant, state=TenantState.SUSPENDED)


def resume(tenant: Tenant) -> Tenant:
    """Makes a suspended tenant active; an active one stays as it is. Raises PreconditionFailed."""
    demand_not_deleted(tenant)
    return replace(tenant, state=TenantState.ACTIVE)


def delete(tenant: Tenant, unfinished_jobs: int, now: datetime, *, cancel_jobs: bool) -> Tenant:
    """Marks a tenant as deleted; a deleted one stays as it is. Raises PreconditionFailed while it has unfinished jobs.

    With `cancel_jobs` unfinished jobs are no obstacle: the caller cancels them.
    """
    if tenant.state is TenantState.DELETED:
        return tenant
    if unfinished_jobs and not cancel_jobs:
        jobs = "job that has" if unfinished_jobs == 1 else "jobs that have"
        what = f"The tenant has {unfinished_jobs} {jobs} not ended. Wait, or delete it with cancel_jobs."
        raise PreconditionFailed(
            what, reason=AccessReason.TENANT_HAS_JOBS, metadata={"unfinished_jobs": str(unfinished_jobs)}
        )
    return replace(tenant, state=TenantState.DELETED, delete_time=now, next_plan="", next_plan_time=None)


def set_plan(tenant: Tenant, plan: str, now: datetime, *, at_end_of: Per | None = None) -> Tenant:
    """Gives a tenant a plan now, or from the end of its current period on.

    A plan that was planned before is replaced. The plan that it has now, given at the end, only cancels that.
    """
    demand_not_deleted(tenant)
    if at_end_of is None:
        return replace(tenant, plan=plan, next_plan="", next_plan_time=None)
    current = tenant.plan_at(now)
    if plan == current:
        return replace(tenant, plan=current, next_plan="", next_plan_time=None)
    end = tenant.calendar.period(at_end_of, now).end
    return replace(tenant, plan=current, next_plan=plan, next_plan_time=end)


def set_calendar(tenant: Tenant, time_zone: str, anniversary: date | None) -> Tenant:
    """Changes the time zone, the anniversary, or both; an empty or missing one stays.

    A planned change of plan keeps its moment. Raises InvalidInput.
    """
    demand_not_deleted(tenant)
    if time_zone:
        demand_time_zone(time_zone)
    return replace(tenant, time_zone=time_zone or tenant.time_zone, anniversary=anniversary or tenant.anniversary)


def demand_not_deleted(tenant: Tenant) -> None:
    """Raises PreconditionFailed if a tenant is deleted."""
    if tenant.state is TenantState.DELETED:
        what = f"The tenant {tenant.id} is deleted. Create another one."
        raise PreconditionFailed(what, reason=AccessReason.TENANT_DELETED, metadata={"tenant": tenant.id})
