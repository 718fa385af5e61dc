"""Row <-> object for tenants, API keys, operators and overrides, and the word that one of them has changed."""

from dataclasses import asdict
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.domain.api_key import ApiKey, Scope
from services.orchestrator.domain.limits.override import Override, limit_of
from services.orchestrator.domain.operator import Operator, Role
from services.orchestrator.domain.tenant import Tenant, TenantState
from services.orchestrator.store.notification_listener import ACCESS, ALL

NOTIFY = sa.text("SELECT pg_notify(:channel, :payload)")


async def notify(connection: AsyncConnection) -> None:
    """Tells every process, when the transaction is committed, that a credential may have changed."""
    await connection.execute(NOTIFY, {"channel": ACCESS, "payload": ALL})


def tenant(row: Row[Any]) -> Tenant:
    """Returns the tenant of a `tenants` row."""
    return Tenant(
        id=row.id,
        plan=row.plan,
        state=TenantState(row.state),
        time_zone=row.time_zone,
        anniversary=row.anniversary,
        next_plan=row.next_plan,
        next_plan_time=row.next_plan_time,
        create_time=row.create_time,
        delete_time=row.delete_time,
    )


def tenant_columns(given: Tenant) -> dict[str, Any]:
    """Returns the columns of a tenant."""
    return asdict(given) | {"state": given.state.value}


def key(row: Row[Any]) -> ApiKey:
    """Returns the key of an `api_keys` row."""
    return ApiKey(
        id=row.id,
        tenant=row.tenant,
        name=row.name,
        scopes=frozenset(map(Scope, row.scopes)),
        create_time=row.create_time,
        expire_time=row.expire_time,
        revoke_time=row.revoke_time,
        last_use_time=row.last_use_time,
    )


def key_columns(given: ApiKey) -> dict[str, Any]:
    """Returns the columns of a key, without its digest."""
    return asdict(given) | {"scopes": sorted(given.scopes)}


def operator(row: Row[Any]) -> Operator:
    """Returns the operator of an `operators` row."""
    return Operator(
        row.id, row.name, Role(row.role), row.create_time, row.expire_time, row.revoke_time, row.last_use_time
    )


def override(row: Row[Any]) -> Override:
    """Returns the override of a `limit_overrides` row."""
    return Override(row.subject, limit_of(row.limit, row.most), row.reason, row.actor, row.create_time)
