"""PostgresOldEntries: ended entries of the job queue. DBOS keeps them; this version of it has no retention."""

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from services.orchestrator.domain.retention import Due
from services.orchestrator.ports.retention import OldEntry
from services.orchestrator.store.database import Database
from services.orchestrator.store.old_jobs import COUNT_MOST
from services.orchestrator.store.queue_entries import Queue

# The id of an entry is that of its job, or begins with it and a dot. The partition of a queue ends with its tenant.
DUE = """
SELECT workflow_uuid AS id, completed_at FROM dbos.workflow_status
WHERE name = :workflow AND completed_at < :before
    AND status IN ('SUCCESS', 'ERROR', 'CANCELLED', 'MAX_RECOVERY_ATTEMPTS_EXCEEDED')
    AND NOT EXISTS (SELECT FROM tenants WHERE tenants.id = split_part(queue_partition_key, '/', -1) AND legal_hold)
    AND NOT EXISTS (
        SELECT FROM jobs WHERE jobs.id = split_part(workflow_uuid, '.', 1) AND end_time IS NULL
    )
"""
COUNT = sa.text(
    f"SELECT count(*), min(completed_at) FROM ({DUE} ORDER BY completed_at, workflow_uuid LIMIT {COUNT_MOST}) AS due"
)
PAGE = sa.text(
    f"{DUE} AND (CAST(:id AS text) IS NULL OR (completed_at, workflow_uuid) > (:time, :id))"
    " ORDER BY completed_at, workflow_uuid LIMIT :limit"
)


class PostgresOldEntries:
    """The ended entries in one database."""

    def __init__(self, database: Database, queue: Queue) -> None:
        self._database = database
        self._queue = queue

    async def due(self, before: datetime) -> Due:
        """Returns which entries ended before then."""
        async with self._database.reading() as connection:
            count, oldest = (await connection.execute(COUNT, self._given(before))).one()
        return Due(count, None if oldest is None else _time(oldest))

    async def page(self, before: datetime, *, after: OldEntry | None, limit: int) -> list[OldEntry]:
        """Returns entries that ended before then, the oldest first, those that follow `after`."""
        given = self._given(before) | {"limit": limit, "id": None, "time": None}
        if after is not None:
            given |= {"id": after.id, "time": _milliseconds(after.end_time)}
        async with self._database.reading() as connection:
            rows = await connection.execute(PAGE, given)
            return [OldEntry(row.id, _time(row.completed_at)) for row in rows]

    def _given(self, before: datetime) -> dict[str, Any]:
        return {"workflow": self._queue.workflow, "before": _milliseconds(before)}


def _milliseconds(time: datetime) -> int:
    return round(time.timestamp() * 1000)


def _time(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
