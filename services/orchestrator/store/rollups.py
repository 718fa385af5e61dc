"""PostgresRollups: the daily rollups of one database."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.domain.limits.calendar import Period
from services.orchestrator.domain.rollup import Rollup, RollupFilter, RollupKey, RollupPage, RollupSums
from services.orchestrator.ports.clock_and_ids import Clock
from services.orchestrator.store import rollup_statements as statements
from services.orchestrator.store.database import Database

OVERLAP = timedelta(hours=1)
"""Bookings that are this much older than the last round are looked at again: clocks differ, and commits come late."""


class PostgresRollups:
    """The rollups of one database."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._one_at_a_time = asyncio.Lock()
        """Of the rounds of this process: who waits for one must not have a connection meanwhile."""

    async def refresh(self, *, every_s: float = 0.0) -> None:
        """Computes the days again in which bookings have come or changed, unless a round is younger than `every_s`."""
        now = self._clock.now()
        if every_s:
            async with self._database.reading() as connection:
                last = (await connection.execute(statements.LAST)).scalar_one()
            if last is not None and abs(now - last) < timedelta(seconds=every_s):
                return
        async with self._one_at_a_time, self._database.snapshot() as connection:
            await compute(connection, now)

    async def page(self, which: RollupFilter, *, after: RollupKey | None, limit: int) -> RollupPage:
        """Returns rollups after a key, in the order of their keys, and the sums of all that are asked for."""
        given: dict[str, Any] = {
            "since": which.since,
            "until": which.until,
            "tenant": which.tenant,
            "model": which.model,
            "operation": which.operation,
        }
        place = {
            "after_day": after.day if after else None,
            "after_tenant": after.tenant if after else "",
            "after_model": after.model if after else "",
            "after_operation": after.operation if after else "",
        }
        async with self._database.snapshot() as connection:
            total = (await connection.execute(statements.TOTAL, given)).one()
            rows = await connection.execute(statements.PAGE, given | place | {"limit": limit})
            found = [Rollup(RollupKey(row.day, row.tenant, row.model, row.operation), _sums(row)) for row in rows]
            time = (await connection.execute(statements.LAST)).scalar_one()
        return RollupPage(found, _sums(total), time)

    async def of_models(self, day: date) -> Mapping[str, RollupSums]:
        """Returns the sums of a day by model."""
        async with self._database.reading() as connection:
            rows = await connection.execute(statements.BY_MODEL, {"day": day})
            return {row.model: _sums(row) for row in rows}

    async def of_tenants(self, day: date) -> Mapping[str, RollupSums]:
        """Returns the sums of a day by tenant."""
        async with self._database.reading() as connection:
            rows = await connection.execute(statements.BY_TENANT, {"day": day})
            return {row.tenant: _sums(row) for row in rows}


async def compute(connection: AsyncConnection, now: datetime) -> None:
    """Computes the changed days, in a transaction that has done nothing yet."""
    await connection.execute(statements.ONE_AT_A_TIME)
    last = (await connection.execute(statements.LAST)).scalar_one()
    if last is None:
        await connection.execute(statements.COSTS)
    since = None if last is None else min(last, now) - OVERLAP
    changed = (await connection.execute(statements.CHANGED, {"since": since})).all()
    if changed:
        given = {"tenants": [row.tenant for row in changed], "days": [row.day for row in changed]}
        await connection.execute(statements.REPLACE, given)
    await connection.execute(statements.DONE, {"now": now})


def days_of(tenant: str, month: Period) -> dict[str, list[Any]]:
    """Returns the days of a tenant's month, in UTC, as REPLACE takes them."""
    assert month.start is not None and month.end is not None
    first = month.start.astimezone(UTC).date()
    days = [first + timedelta(number) for number in range((month.end - month.start).days + 2)]
    return {"tenants": [tenant] * len(days), "days": days}


def _sums(row: sa.Row[Any]) -> RollupSums:
    return RollupSums(**{name: int(getattr(row, name)) for name in statements.NAMES})
