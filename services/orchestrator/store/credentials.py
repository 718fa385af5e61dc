"""PostgresCredentials: what a process must know of a credential to answer a call."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime

import sqlalchemy as sa

from services.orchestrator.domain.operator import Operator
from services.orchestrator.ports.credentials import SessionAccess, TenantAccess
from services.orchestrator.ports.signal import Signal
from services.orchestrator.store import access_rows, limit_overrides
from services.orchestrator.store.access_schema import api_keys, operators, tenants
from services.orchestrator.store.database import Database
from services.orchestrator.store.notification_listener import ACCESS, ALL, SESSIONS, NotificationListener
from services.orchestrator.store.session_schema import sessions
from services.orchestrator.store.sessions import session_of

USED = """
UPDATE {table} SET last_use_time = used.time
FROM unnest(CAST(:ids AS text[]), CAST(:times AS timestamptz[])) AS used (id, time)
WHERE {table}.id = used.id AND ({table}.last_use_time IS NULL OR {table}.last_use_time < used.time)
"""


class PostgresCredentials:
    """The credentials of one database."""

    def __init__(self, database: Database, listener: NotificationListener) -> None:
        self._database = database
        self._listener = listener

    async def of_key(self, key_sha256: str) -> TenantAccess | Operator | None:
        """Returns whose key it is, by the key's digest; ended ones too. None if the key is unknown."""
        async with self._database.reading() as connection:
            row = (await connection.execute(sa.select(api_keys).where(api_keys.c.sha256 == key_sha256))).one_or_none()
            if row is None:
                query = sa.select(operators).where(operators.c.sha256 == key_sha256)
                found = (await connection.execute(query)).one_or_none()
                return None if found is None else access_rows.operator(found)
            key = access_rows.key(row)
            of_tenant = sa.select(tenants).where(tenants.c.id == key.tenant)
            tenant = access_rows.tenant((await connection.execute(of_tenant)).one())
            return TenantAccess(tenant, tuple(await limit_overrides.of(connection, key.tenant)), key)

    async def of_tenant(self, tenant: str) -> TenantAccess | None:
        """Returns a tenant without a key; None if there is no such tenant."""
        async with self._database.reading() as connection:
            row = (await connection.execute(sa.select(tenants).where(tenants.c.id == tenant))).one_or_none()
            if row is None:
                return None
            return TenantAccess(access_rows.tenant(row), tuple(await limit_overrides.of(connection, tenant)))

    async def of_session(self, sha256: str) -> SessionAccess | None:
        """Returns the session of a token or a ticket, by its digest; expired ones too. None if there is none."""
        async with self._database.reading() as connection:
            row = (await connection.execute(sa.select(sessions).where(sessions.c.sha256 == sha256))).one_or_none()
            if row is None:
                return None
            session, key = session_of(row), None
            if session.key:
                of_key = sa.select(api_keys).where(api_keys.c.id == session.key)
                key = access_rows.key((await connection.execute(of_key)).one())
            of_tenant = sa.select(tenants).where(tenants.c.id == session.tenant)
            tenant = access_rows.tenant((await connection.execute(of_tenant)).one())
            overrides = tuple(await limit_overrides.of(connection, session.tenant))
            return SessionAccess(session, TenantAccess(tenant, overrides, key))

    async def used(self, times: Mapping[str, datetime]) -> None:
        """Stores when keys, by their ids, were last used. An earlier time than the stored one changes nothing."""
        given = {"ids": list(times), "times": list(times.values())}
        async with self._database.writing() as connection:
            for table in ("api_keys", "operators"):
                await connection.execute(sa.text(USED.format(table=table)), given)

    def changes(self) -> AbstractAsyncContextManager[Signal]:
        """Yields a signal that is raised when a tenant, a key, an operator or an override may have changed."""
        return self._listener.subscribe(ACCESS, ALL)

    def ended_sessions(self) -> AbstractAsyncContextManager[Signal]:
        """Yields a signal that is raised when a session may have ended."""
        return self._listener.subscribe(ACCESS, SESSIONS)
