"""PostgresSessions: the sessions of people. Only digests of their tokens are stored."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.domain.api_key import Scope
from services.orchestrator.domain.session import MOST, MOST_OF_TENANT, Session
from services.orchestrator.store.access_rows import NOTIFY
from services.orchestrator.store.database import Database
from services.orchestrator.store.notification_listener import ACCESS, SESSIONS
from services.orchestrator.store.session_schema import sessions

# A few with each new one: so those that have expired never pile up.
FORGET = sa.text("""
DELETE FROM sessions WHERE number IN (
    SELECT number FROM sessions WHERE LEAST(expire_time, ticket_expire_time) <= :now
    ORDER BY LEAST(expire_time, ticket_expire_time) LIMIT 100 FOR UPDATE SKIP LOCKED
)
""")
# Sign-ins at the same time have the same oldest ones: none waits for another one's rows.
END_OLDEST = sa.text("""
DELETE FROM sessions WHERE number IN (
    SELECT number FROM sessions WHERE number IN (
        (SELECT number FROM sessions WHERE tenant = :tenant AND "user" = :user ORDER BY number DESC OFFSET :most)
        UNION
        (SELECT number FROM sessions WHERE tenant = :tenant ORDER BY number DESC OFFSET :most_of_tenant)
    ) FOR UPDATE SKIP LOCKED
)
""")
END_OF_USER = sa.text('DELETE FROM sessions WHERE tenant = :tenant AND "user" = :user')


class PostgresSessions:
    """The sessions of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, session: Session, sha256: str) -> None:
        """Stores a session. Raises PreconditionFailed."""
        columns = {
            "tenant": session.tenant,
            "user": session.user,
            "sha256": sha256,
            "key": session.key or None,
            "scopes": sorted(session.scopes),
            "create_time": session.create_time,
            "expire_time": session.expire_time,
            "ticket_expire_time": session.ticket_expire_time,
        }
        most = {"tenant": session.tenant, "user": session.user, "most": MOST, "most_of_tenant": MOST_OF_TENANT}
        async with self._database.writing() as connection:
            await connection.execute(sa.insert(sessions).values(columns))
            await connection.execute(FORGET, {"now": session.create_time})
            if (await connection.execute(END_OLDEST, most)).rowcount:
                await notify(connection)

    async def begin(self, ticket_sha256: str, sha256: str, now: datetime) -> Session | None:
        """Begins the session of a ticket. The update itself decides which of two calls at a time has the session."""
        table = sessions.c
        waits = (table.sha256 == ticket_sha256, table.ticket_expire_time > now, table.expire_time > now)
        begun = sa.update(sessions).where(*waits).values(sha256=sha256, ticket_expire_time=None).returning(sessions)
        async with self._database.reading() as connection:
            row = (await connection.execute(begun)).one_or_none()
        return None if row is None else session_of(row)

    async def end(self, sha256: str) -> None:
        """Ends a session."""
        async with self._database.writing() as connection:
            await connection.execute(sa.delete(sessions).where(sessions.c.sha256 == sha256))
            await notify(connection)


async def notify(connection: AsyncConnection) -> None:
    """Tells every process, when the transaction is committed, that a session may have ended."""
    await connection.execute(NOTIFY, {"channel": ACCESS, "payload": SESSIONS})


def session_of(row: Row[Any]) -> Session:
    """Returns the session of a `sessions` row."""
    return Session(
        tenant=row.tenant,
        user=row.user,
        key=row.key or "",
        scopes=frozenset(map(Scope, row.scopes)),
        create_time=row.create_time,
        expire_time=row.expire_time,
        ticket_expire_time=row.ticket_expire_time,
    )
