"""PostgresAuditLog: what operators and tenants' admins do by RPC."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.domain.audit import DONE, Act, AuditEntry, difference
from services.orchestrator.store.access_schema import audit_log
from services.orchestrator.store.database import Database


async def write(
    connection: AsyncConnection,
    act: Act,
    before: Mapping[str, object],
    after: Mapping[str, object],
    outcome: str = DONE,
) -> int:
    """Writes an entry, with the values that differ, within a transaction. Returns its id."""
    was, became = difference(before, after)
    values = asdict(act) | {"outcome": outcome, "before": was, "after": became}
    added = sa.insert(audit_log).values(values).returning(audit_log.c.id)
    return int((await connection.execute(added)).scalar_one())


class PostgresAuditLog:
    """The log of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def refused(self, act: Act, outcome: str) -> None:
        """Writes an act that was refused, with the reason of the refusal."""
        async with self._database.writing() as connection:
            await write(connection, act, {}, {}, outcome)

    async def begin(self, act: Act) -> int:
        """Writes an act before it is done, and returns the entry's id."""
        async with self._database.writing() as connection:
            return await write(connection, act, {}, {}, "")

    async def end(self, entry: int, outcome: str) -> None:
        """Writes how an act ended."""
        async with self._database.writing() as connection:
            await connection.execute(sa.update(audit_log).where(audit_log.c.id == entry).values(outcome=outcome))

    async def page(self, *, tenant: str, before: int | None, limit: int) -> Sequence[AuditEntry]:
        """Returns entries with ids below one, the newest first; of one tenant, or of all if it is empty."""
        query = sa.select(audit_log).order_by(audit_log.c.id.desc()).limit(limit)
        if tenant:
            query = query.where(audit_log.c.tenant == tenant)
        if before is not None:
            query = query.where(audit_log.c.id < before)
        async with self._database.reading() as connection:
            rows = (await connection.execute(query)).all()
        return [
            AuditEntry(
                row.id,
                Act(row.time, row.actor, row.action, row.target, row.tenant, row.reason, row.call),
                row.outcome,
                row.before,
                row.after,
            )
            for row in rows
        ]
