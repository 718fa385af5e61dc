"""Domain from proto: what requests for usage ask. What cannot be asked is refused by field."""

import re
from datetime import UTC, date, datetime, timedelta

from i2v.v1 import usage_pb2

from services.errors import PermissionDenied
from services.orchestrator.api import proto_values, usage_messages
from services.orchestrator.domain.api_key import Scope
from services.orchestrator.domain.caller import Caller
from services.orchestrator.domain.ledger import Kind
from services.orchestrator.domain.limits.calendar import Per, Period
from services.orchestrator.domain.usage import Dimension, Owner, UsageQuery
from services.reasons import AccessReason, RequestReason

DAYS_MOST = 366
FIELDS = {usage_pb2.QueryUsageRequest.Field.Value(each.name): each for each in Dimension}
KIND_OF = {number: kind for kind, number in usage_messages.KINDS.items()}
YEARS = range(2000, 3000)


def owner(caller: Caller, *, whole_tenant: bool) -> Owner:
    """Returns whose entries a caller asks for. Raises PermissionDenied if a token asks for the whole tenant."""
    if whole_tenant and not caller.key:
        what = "A token is of one user, so it cannot ask for the whole tenant. Use an API key of the tenant."
        raise PermissionDenied(what, reason=AccessReason.SCOPE_MISSING, metadata={"scope": Scope.USAGE})
    return Owner(caller.tenant, None if whole_tenant else caller.user)


def query(request: usage_pb2.QueryUsageRequest, caller: Caller, now: datetime) -> UsageQuery:
    """Returns what is to be summed. Raises InvalidInput."""
    by = tuple(FIELDS[each] for each in request.group_by if each in FIELDS)
    if len(by) != len(request.group_by) or len(set(by)) != len(by) or not 1 <= len(by) <= 2:
        what = f"has {len(request.group_by)} fields; 1 or 2 different ones are allowed"
        raise proto_values.refuse("group_by", what, RequestReason.INVALID_VALUE)
    today = date.fromisoformat(caller.calendar.period(Per.DAY, now).key)
    until = _day(request.until_day, "until_day") or max(today, _day(request.since_day, "since_day") or today)
    since = _day(request.since_day, "since_day") or until.replace(day=1)
    if not 0 <= (until - since).days < DAYS_MOST:
        what = f"is {until}; it is the same day as {since} or one of the {DAYS_MOST - 1} days after it"
        raise proto_values.refuse("until_day", what, RequestReason.INVALID_VALUE)
    start, end = caller.calendar.day_start(since), caller.calendar.day_start(until + timedelta(days=1))
    asked = owner(caller, whole_tenant=request.whole_tenant)
    return UsageQuery(asked, by, start, end, caller.calendar.time_zone)


def entries(request: usage_pb2.ListLedgerEntriesRequest, caller: Caller) -> tuple[Owner, Kind | None, str]:
    """Returns whose entries are asked for, their kind and their job. Raises InvalidInput."""
    if request.kind and request.kind not in KIND_OF:
        raise proto_values.refuse("kind", f"is {request.kind}, which is no kind", RequestReason.INVALID_VALUE)
    if request.user and not request.whole_tenant:
        what = "is given without `whole_tenant`; without both, the entries of the calling user are listed"
        raise proto_values.refuse("user", what, RequestReason.INVALID_VALUE)
    job = proto_values.resource_id(request.job, "jobs", field="job") if request.job else ""
    asked = owner(caller, whole_tenant=request.whole_tenant)
    if request.user:
        asked = Owner(caller.tenant, request.user)
    return asked, KIND_OF[request.kind] if request.kind else None, job


def month(text: str, caller: Caller, now: datetime) -> Period:
    """Returns a month of the tenant's calendar. Raises InvalidInput if it is none, or has not begun."""
    found = re.fullmatch(r"([0-9]{4})-(0[1-9]|1[0-2])", text)
    if found is None or int(found[1]) not in YEARS:
        what = f"is {text[:40]!r}; a month looks like `2026-11`"
        raise proto_values.refuse("month", what, RequestReason.INVALID_VALUE)
    # The middle of the month is in it in every time zone.
    period = caller.calendar.period(Per.MONTH, datetime(int(found[1]), int(found[2]), 15, tzinfo=UTC))
    assert period.start is not None
    if period.start > now:
        raise proto_values.refuse("month", f"is {text}, which has not begun", RequestReason.INVALID_VALUE)
    return period


def _day(text: str, field: str) -> date | None:
    if not text:
        return None
    try:
        if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text) and int(text[:4]) in YEARS:
            return date.fromisoformat(text)
    except ValueError:
        pass
    what = f"is {text[:40]!r}; a day looks like `2026-11-30`"
    raise proto_values.refuse(field, what, RequestReason.INVALID_VALUE)
