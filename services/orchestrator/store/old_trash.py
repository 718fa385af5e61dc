"""PostgresOldTrash: entries that go to the trash, or are deleted for good, because of their age."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from services.orchestrator.domain.keep_rules import KeepRules
from services.orchestrator.domain.library_entry import EntryKey
from services.orchestrator.domain.retention import Due
from services.orchestrator.ports.trash import OldItem
from services.orchestrator.store import trash_statements
from services.orchestrator.store.database import Database

COUNT_MOST = 100_000
"""Entries that are counted as due, at most."""

UNUSED = """
NOT EXISTS (
    SELECT FROM jobs WHERE jobs.tenant = entry.tenant AND jobs."user" = entry."user"
        AND jobs.state IN ('queued', 'running', 'reconciling')
        AND entry.sha256 IN (jobs.spec #>> '{operation,image}', jobs.spec #>> '{operation,audio}',
            jobs.spec #>> '{operation,mask}')
)
"""
EXPIRED = f"""
SELECT entry.id, entry.tenant, entry."user", entry.sha256, entry.create_time AS time
FROM json_to_recordset(CAST(:rules AS json)) AS rule (plan text, kind text, days integer)
    JOIN tenants ON tenants.plan = rule.plan AND NOT legal_hold
    JOIN library_entries AS entry ON entry.tenant = tenants.id AND entry.kind = rule.kind
WHERE entry.delete_time IS NULL AND entry.create_time < :now - make_interval(days => rule.days) AND {UNUSED}
"""
DUE = f"""
SELECT entry.id, entry.tenant, entry."user", entry.sha256, entry.delete_time AS time
FROM library_entries AS entry JOIN tenants ON tenants.id = entry.tenant AND NOT legal_hold
    LEFT JOIN json_to_recordset(CAST(:rules AS json)) AS rule (plan text, days integer) ON rule.plan = tenants.plan
WHERE entry.delete_time IS NOT NULL AND coalesce(rule.days, :default_days) > 0
    AND entry.delete_time < :now - make_interval(days => coalesce(rule.days, :default_days)) AND {UNUSED}
"""


class PostgresOldTrash:
    """The old entries of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def expired(self, rules: Mapping[str, KeepRules], now: datetime) -> Due:
        """Returns which entries are older than their plan keeps them."""
        return await self._count(EXPIRED, {"rules": _by_kind(rules), "now": now})

    async def trash_expired(self, rules: Mapping[str, KeepRules], now: datetime, *, limit: int) -> int:
        """Moves some of them to the trash; returns how many."""
        moved = 0
        given = {"rules": _by_kind(rules), "now": now, "limit": limit}
        for item in await self._page(EXPIRED, given):
            async with self._database.writing() as connection:
                await trash_statements.lock(connection, item.key)
                moved += await trash_statements.trash(connection, item.key, now)
        return moved

    async def due(self, rules: Mapping[str, KeepRules], default_days: int, now: datetime) -> Due:
        """Returns what has been in the trash for too long."""
        return await self._count(DUE, {"rules": _of_trash(rules), "default_days": default_days, "now": now})

    async def due_page(
        self, rules: Mapping[str, KeepRules], default_days: int, now: datetime, *, after: int, limit: int
    ) -> list[OldItem]:
        """Returns entries that are due, in the order of their ids, those after one."""
        given = {"rules": _of_trash(rules), "default_days": default_days, "now": now, "after": after, "limit": limit}
        return await self._page(f"{DUE} AND entry.id > :after", given)

    async def _count(self, query: str, given: dict[str, Any]) -> Due:
        counted = sa.text(f"SELECT count(*), min(time) FROM ({query} LIMIT {COUNT_MOST}) AS due")
        async with self._database.reading() as connection:
            return Due(*(await connection.execute(counted, given)).one())

    async def _page(self, query: str, given: dict[str, Any]) -> list[OldItem]:
        async with self._database.reading() as connection:
            rows = await connection.execute(sa.text(f"{query} ORDER BY entry.id LIMIT :limit"), given)
            return [OldItem(row.id, EntryKey(row.tenant, row.user, row.sha256)) for row in rows]


def _by_kind(rules: Mapping[str, KeepRules]) -> str:
    return json.dumps(
        [
            {"plan": plan, "kind": kind.value, "days": days}
            for plan, keep in rules.items()
            for kind, days in keep.days.items()
        ]
    )


def _of_trash(rules: Mapping[str, KeepRules]) -> str:
    return json.dumps(
        [{"plan": plan, "days": keep.trash_days} for plan, keep in rules.items() if keep.trash_days is not None]
    )
