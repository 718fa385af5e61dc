"""Proto <-> domain, for the messages of the administration."""

from datetime import UTC, date, datetime

from google.protobuf.timestamp_pb2 import Timestamp
from i2v.admin.v1 import key_pb2, operator_pb2, tenant_pb2

from services.orchestrator.api import proto_values
from services.orchestrator.domain.api_key import USUAL, ApiKey, Scope
from services.orchestrator.domain.operator import Operator, Role
from services.orchestrator.domain.price import CURRENCY
from services.orchestrator.domain.tenant import Holdings, Tenant, TenantState
from services.reasons import AccessReason, RequestReason

STATES = {
    TenantState.ACTIVE: tenant_pb2.Tenant.ACTIVE,
    TenantState.SUSPENDED: tenant_pb2.Tenant.SUSPENDED,
    TenantState.DELETED: tenant_pb2.Tenant.DELETED,
}
SCOPES = {
    Scope.SUBMIT: key_pb2.Key.SUBMIT,
    Scope.READ: key_pb2.Key.READ,
    Scope.ASSETS: key_pb2.Key.ASSETS,
    Scope.USAGE: key_pb2.Key.USAGE,
    Scope.TENANT_ADMIN: key_pb2.Key.TENANT_ADMIN,
}
ROLES = {
    Role.VIEWER: operator_pb2.Operator.VIEWER,
    Role.OPERATOR: operator_pb2.Operator.OPERATOR,
    Role.ADMIN: operator_pb2.Operator.ADMIN,
}


def moment(time: datetime | None) -> Timestamp | None:
    """Returns a moment, if there is one."""
    return None if time is None else proto_values.timestamp(time)


def expire_time(given: Timestamp | None) -> datetime | None:
    """Returns the end of a key, if the request has one. Raises InvalidInput."""
    if given is None:
        return None
    try:
        return given.ToDatetime(UTC)
    except (ValueError, OverflowError):
        raise proto_values.refuse("expire_time", "is not a valid time", RequestReason.INVALID_VALUE) from None


def date_of(text: str, field: str = "anniversary") -> date:
    """Returns a date. Raises InvalidInput."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        what = f"is {text[:80]!r}; a date looks like 2026-11-30"
        raise proto_values.refuse(field, what, AccessReason.DATE_MALFORMED) from None


def tenant(given: Tenant, now: datetime) -> tenant_pb2.Tenant:
    """Returns a tenant, with the plan that holds now."""
    waits = given.next_plan_time is not None and given.next_plan_time > now
    return tenant_pb2.Tenant(
        name=f"tenants/{given.id}",
        state=STATES[given.state],
        plan=given.plan_at(now),
        next_plan=given.next_plan if waits else "",
        next_plan_time=moment(given.next_plan_time) if waits else None,
        time_zone=given.time_zone,
        anniversary=given.anniversary.isoformat(),
        create_time=moment(given.create_time),
        delete_time=moment(given.delete_time),
    )


def holdings(given: Holdings) -> tenant_pb2.TenantHoldings:
    """Returns what a tenant has."""
    return tenant_pb2.TenantHoldings(
        unfinished_jobs=given.unfinished_jobs,
        queued_jobs=given.queued_jobs,
        reserved_micros=given.reserved_micros,
        currency_code=CURRENCY,
        jobs=given.jobs,
        assets=given.assets,
        asset_bytes=given.asset_bytes,
        keys=given.keys,
    )


def key(given: ApiKey) -> key_pb2.Key:
    """Returns a key."""
    return key_pb2.Key(
        name=f"tenants/{given.tenant}/keys/{given.id}",
        display_name=given.name,
        scopes=[number for scope, number in SCOPES.items() if scope in given.scopes],
        create_time=moment(given.create_time),
        expire_time=moment(given.expire_time),
        revoke_time=moment(given.revoke_time),
        last_use_time=moment(given.last_use_time),
    )


def scopes(given: "list[key_pb2.Key.Scope.ValueType]") -> frozenset[Scope]:
    """Returns the scopes of a request; the usual ones if it names none. Raises InvalidInput."""
    by_number = {number: scope for scope, number in SCOPES.items()}
    for index, number in enumerate(given):
        if number not in by_number:
            what = f"is {number}, which is no scope"
            raise proto_values.refuse(f"scopes[{index}]", what, AccessReason.SCOPE_UNKNOWN)
    return frozenset(by_number[number] for number in given) or USUAL


def operator(given: Operator) -> operator_pb2.Operator:
    """Returns an operator."""
    return operator_pb2.Operator(
        name=f"operators/{given.id}",
        display_name=given.name,
        role=ROLES[given.role],
        create_time=moment(given.create_time),
        expire_time=moment(given.expire_time),
        revoke_time=moment(given.revoke_time),
        last_use_time=moment(given.last_use_time),
    )


def role(number: "operator_pb2.Operator.Role.ValueType") -> Role:
    """Returns the role of a request. Raises InvalidInput."""
    found = next((each for each, known in ROLES.items() if known == number), None)
    if found is None:
        raise proto_values.refuse("role", f"is {number}, which is no role", AccessReason.ROLE_UNKNOWN)
    return found


def id_token(token: str) -> str:
    """Returns the token of a page that is the last id of the page before. Raises InvalidInput."""
    if token and not (len(token) <= 64 and token.replace("-", "").isalnum() and token.isascii()):
        raise proto_values.refuse("page_token", "is not one that this method gave", RequestReason.PAGE_TOKEN_MALFORMED)
    return token
