"""PostgresUserDeletions: the records of deletions of users."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Row

from services.errors import NotFound, PreconditionFailed, RequestIdReused
from services.orchestrator.domain.audit import Act
from services.orchestrator.domain.user_deletion import Holdings, Obstacle, State, UserDeletion
from services.orchestrator.store import audit_log, sessions
from services.orchestrator.store.database import Database
from services.orchestrator.store.schema import ENDED, tenants, user_deletions
from services.reasons import RetentionReason

COUNTED = ("entries", "size_bytes", "jobs", "collections", "uploads", "bookings")

HELD = sa.text("SELECT legal_hold FROM tenants WHERE id = :tenant FOR SHARE")
# Waits for what is just being stored of the user; see `refuse_user_in_deletion` in the migrations.
LOCK = sa.text("SELECT pg_advisory_xact_lock(hashtextextended(CAST(:tenant AS text) || chr(10) || :user, 26))")
OF_USER = 'WHERE tenant = :tenant AND "user" = :user'
HOLDINGS = sa.text(f"""
SELECT (SELECT count(*) FROM library_entries {OF_USER}) AS entries,
    (SELECT coalesce(sum(size_bytes), 0) FROM assets {OF_USER}) AS size_bytes,
    (SELECT count(*) FROM jobs {OF_USER}) AS jobs,
    (SELECT count(*) FROM jobs {OF_USER} AND state NOT IN {ENDED}) AS unfinished_jobs,
    (SELECT count(*) FROM collections {OF_USER}) AS collections,
    (SELECT count(*) FROM shares {OF_USER}) AS shares,
    (SELECT count(*) FROM uploads {OF_USER}) AS uploads,
    (SELECT count(*) FROM ledger_entries {OF_USER}) AS bookings,
    legal_hold
FROM tenants WHERE id = :tenant
""")


class PostgresUserDeletions:
    """The deletions of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, deletion: UserDeletion, act: Act) -> UserDeletion:
        """Begins a deletion; returns the earlier one of the same id, or the one of the user that is under way."""
        table = user_deletions.c
        same = sa.or_(table.id == deletion.id, table.user == deletion.user)
        earlier = sa.select(user_deletions).where(table.tenant == deletion.tenant, same)
        named = {"tenant": deletion.tenant, "user": deletion.user}
        async with self._database.writing() as connection:
            held = (await connection.execute(HELD, named)).scalar_one_or_none()
            if held is None:
                raise NotFound("tenant", f"tenants/{deletion.tenant}")
            await connection.execute(LOCK, named)
            found = [_deletion(row) for row in await connection.execute(earlier)]
            # The pseudonym tells whether the same id is of the same user, also when the user's id is erased.
            if any(each.id == deletion.id and each.pseudonym != deletion.pseudonym for each in found):
                raise RequestIdReused(metadata={"tenant": deletion.tenant})
            if found:
                repeated = min(found, key=lambda each: each.id != deletion.id)
                await audit_log.write(connection, act, {}, {"repeated": True})
                return repeated
            if held:
                what = f"tenants/{deletion.tenant} is under a legal hold, so none of its users is deleted."
                metadata = {"tenant": f"tenants/{deletion.tenant}"}
                raise PreconditionFailed(what, reason=RetentionReason.LEGAL_HOLD, metadata=metadata)
            columns = named | {"id": deletion.id, "pseudonym": deletion.pseudonym, "create_time": deletion.create_time}
            await connection.execute(sa.insert(user_deletions).values(columns))
            await connection.execute(sessions.END_OF_USER, named)
            await sessions.notify(connection)
            await audit_log.write(connection, act, {}, {"deletion": deletion.id})
        return deletion

    async def get(self, tenant: str, deletion: str) -> UserDeletion:
        """Returns a deletion. Raises NotFound."""
        table = user_deletions.c
        query = sa.select(user_deletions).where(table.tenant == tenant, table.id == deletion)
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        if row is None:
            raise NotFound("user deletion", f"tenants/{tenant}/userDeletions/{deletion}")
        return _deletion(row)

    async def page(self, tenant: str, *, before: tuple[datetime, str] | None, limit: int) -> Sequence[UserDeletion]:
        """Returns a tenant's deletions, the newest first."""
        table = user_deletions.c
        order = (table.create_time, table.id)
        query = sa.select(user_deletions).where(table.tenant == tenant)
        if before is not None:
            query = query.where(sa.tuple_(*order) < sa.tuple_(*map(sa.literal, before)))
        query = query.order_by(*(column.desc() for column in order)).limit(limit)
        async with self._database.reading() as connection:
            if not await connection.scalar(sa.select(sa.exists().where(tenants.c.id == tenant))):
                raise NotFound("tenant", f"tenants/{tenant}")
            return [_deletion(row) for row in await connection.execute(query)]

    async def open(self, *, after: UserDeletion | None, limit: int) -> Sequence[UserDeletion]:
        """Returns deletions of all tenants that are not done, the oldest first, those that follow `after`."""
        table = user_deletions.c
        order = (table.create_time, table.tenant, table.id)
        query = sa.select(user_deletions).where(table.state != State.DONE.value).order_by(*order).limit(limit)
        if after is not None:
            last = map(sa.literal, (after.create_time, after.tenant, after.id))
            query = query.where(sa.tuple_(*order) > sa.tuple_(*last))
        async with self._database.reading() as connection:
            return [_deletion(row) for row in await connection.execute(query)]

    async def holdings(self, tenant: str, user: str) -> Holdings:
        """Returns what a user has."""
        async with self._database.reading() as connection:
            row = (await connection.execute(HOLDINGS, {"tenant": tenant, "user": user})).one_or_none()
        if row is None:
            raise NotFound("tenant", f"tenants/{tenant}")
        counts = {name: int(count) for name, count in row._mapping.items() if name != "legal_hold"}
        return Holdings(**counts, legal_hold=row.legal_hold)

    async def waits(self, deletion: UserDeletion, obstacle: Obstacle) -> None:
        """Records what a deletion waits for."""
        table = user_deletions.c
        where = (table.tenant == deletion.tenant, table.id == deletion.id, table.obstacle != obstacle.value)
        async with self._database.reading() as connection:
            await connection.execute(sa.update(user_deletions).where(*where).values(obstacle=obstacle.value))


def _deletion(row: Row[Any]) -> UserDeletion:
    return UserDeletion(
        id=row.id,
        tenant=row.tenant,
        user=row.user or "",
        pseudonym=row.pseudonym,
        create_time=row.create_time,
        state=State(row.state),
        obstacle=Obstacle(row.obstacle),
        deleted=Holdings(**{name: getattr(row, name) for name in COUNTED}),
        erase_time=row.erase_time,
        end_time=row.end_time,
    )
