"""PostgresJobRecords: the jobs of all tenants, and everything about one, for operators."""

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from services.errors import NotFound
from services.orchestrator.domain.job_record import (
    JobDetails,
    JobFilter,
    JobHold,
    JobPage,
    JobRecord,
    QueueEntry,
)
from services.orchestrator.store import row_mapping
from services.orchestrator.store.database import Database
from services.orchestrator.store.job_page_statements import BY_INDEX, PageStatements
from services.orchestrator.store.schema import job_events, jobs, ledger_entries, paid_calls

WINDOW = 5_000
"""Jobs of one state that one page looks at, when an index has only a part of the filters."""

HOLDS = sa.text("""
SELECT subject, counters.measure, period, each.amount, each.used
FROM holds, unnest(holds.counters, amounts, settled) AS each (counter, amount, used)
    JOIN counters ON counters.id = each.counter
WHERE job_id = :job ORDER BY subject, counters.measure, period
""")
QUEUE_ENTRY = sa.text("""
SELECT workflow_uuid, status, queue_name, created_at, started_at_epoch_ms, delay_until_epoch_ms,
    coalesce(worker, executors.id, '') AS worker, beat_time
FROM dbos.workflow_status LEFT JOIN executors ON executors.id = executor_id WHERE workflow_uuid = :entry
""")


class PostgresJobRecords:
    """The jobs of one database."""

    def __init__(self, database: Database, *, window: int = WINDOW) -> None:
        self._database = database
        self._window = window

    async def page(self, which: JobFilter, *, before: str | None, limit: int) -> JobPage:
        """Returns at most so many jobs with ids below `before`, the newest first; sometimes fewer, or none."""
        statements = PageStatements(which, before, limit, self._window)
        async with self._database.writing() as connection:  # nothing is written: the settings are the transaction's
            await connection.execute(BY_INDEX)
            ids = list((await connection.execute(*statements.ids())).scalars())
            # Below this id not all jobs were looked at.
            floor = (await connection.execute(*statements.floor())).scalar_one() if statements.rest else None
            ids = [each for each in ids if floor is None or each >= floor]
            found = await connection.execute(sa.select(jobs).where(jobs.c.id.in_(ids[:limit])))
            records = {row.id: JobRecord(row_mapping.job(row), row.backend) for row in found}
        following = ids[limit - 1] if len(ids) > limit else floor
        return JobPage([records[each] for each in ids[:limit] if each in records], following)

    async def details(self, job_id: str) -> JobDetails:
        """Returns everything about a job. Raises NotFound."""
        async with self._database.reading() as connection:
            row = (await connection.execute(sa.select(jobs).where(jobs.c.id == job_id))).one_or_none()
            if row is None:
                raise NotFound("job", f"jobs/{job_id}")
            count = sa.select(sa.func.count()).where(job_events.c.job_id == job_id)
            events = (await connection.execute(count)).scalar_one()
            holds = (await connection.execute(HOLDS, {"job": job_id})).all()
            booked = sa.select(ledger_entries).where(ledger_entries.c.reference == job_id)
            entries = (await connection.execute(booked.order_by(ledger_entries.c.time, ledger_entries.c.kind))).all()
            called = sa.select(paid_calls).where(paid_calls.c.job_id == (row.resumes or job_id))
            calls = (await connection.execute(called.order_by(paid_calls.c.attempt))).all()
            entry = (await connection.execute(QUEUE_ENTRY, {"entry": row.workflow or job_id})).one_or_none()
        return JobDetails(
            JobRecord(row_mapping.job(row), row.backend),
            events,
            [JobHold(each.subject, each.measure, each.period, each.amount, each.used) for each in holds],
            [row_mapping.entry(each) for each in entries],
            [row_mapping.paid_call(each) for each in calls],
            None if entry is None else _queue_entry(entry),
        )


def _queue_entry(row: sa.Row[Any]) -> QueueEntry:
    return QueueEntry(
        row.workflow_uuid,
        row.status,
        row.queue_name,
        _moment(row.created_at) or datetime.fromtimestamp(0, UTC),
        _moment(row.started_at_epoch_ms),
        _moment(row.delay_until_epoch_ms),
        row.worker,
        row.beat_time,
    )


def _moment(epoch_ms: int | None) -> datetime | None:
    return None if epoch_ms is None else datetime.fromtimestamp(epoch_ms / 1000, UTC)
