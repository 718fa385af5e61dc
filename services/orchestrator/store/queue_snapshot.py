"""A backend's queue at one moment: who waits in which order, who has a slot, and how many slots there are."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.domain.fleet import WorkerReport, jobs_at_a_time
from services.orchestrator.domain.queue_forecast import QueueSnapshot, RunningJob, WaitingLine
from services.orchestrator.domain.turns import TenantShare
from services.orchestrator.store import run_rates

RECENT_S = 600
"""Seconds in which arrivals are counted."""
ARRIVALS_MOST = 5000
"""Entries from which they are counted, at most; beyond that the time is shorter."""
SILENT = timedelta(seconds=60)
"""Time without a heartbeat after which the slots of a worker do not count."""

# Every unfinished job has its entry in DBOS's table. A job that waits for a retry in its slot has a claimed entry.
_UNFINISHED = f"""
    SELECT jobs.id, coalesce(entry.queue_partition_key, jobs.tenant) AS share,
        coalesce(entry.status, '') = 'PENDING' AS claimed, state,
        entry.created_at AS since, entry.started_at_epoch_ms AS begun,
        {run_rates.VARIANT} AS variant, coalesce(CAST(spec->>'duration_ms' AS bigint), 0) AS duration
    FROM jobs LEFT JOIN dbos.workflow_status AS entry
        ON entry.workflow_uuid = CASE WHEN workflow = '' THEN jobs.id ELSE workflow END
    WHERE jobs.backend = :backend AND jobs.state IN ('queued', 'running', 'cancelling')
"""

# As arrays: ten thousand rows would take most of the time.
LINES = sa.text(f"""
SELECT share, array_agg(id ORDER BY since, id) AS ids, array_agg(variant ORDER BY since, id) AS variants,
    array_agg(duration ORDER BY since, id) AS durations
FROM ({_UNFINISHED}) AS unfinished WHERE state = 'queued' AND NOT claimed
GROUP BY share ORDER BY min(since)
""")

RUNNING = sa.text(f"SELECT * FROM ({_UNFINISHED}) AS unfinished WHERE state <> 'queued' OR claimed")

SLOTS = sa.text("""
SELECT coalesce((
    SELECT jsonb_agg(jsonb_build_array(coalesce(slots, '{}'), coalesce(servers, '{}')))
    FROM executors WHERE beat_time > :since
), '[]') AS reports, concurrency AS total,
CASE WHEN rate_limit_period_sec = 60 THEN rate_limit_max END AS per_minute
FROM (SELECT) AS one LEFT JOIN dbos.queues ON name = :backend
""")


# A batch counts as one arrival: it says nothing about the next minutes. The newest are enough at high rates.
ARRIVALS = sa.text("""
SELECT share, count(DISTINCT moment) AS moments, sum(count(*)) OVER () AS entries,
    greatest(1, extract(epoch FROM now()) - min(min(moment)) OVER ()) AS seconds
FROM (
    SELECT coalesce(queue_partition_key, '') AS share, created_at / 1000 AS moment FROM dbos.workflow_status
    WHERE queue_name = :backend AND created_at > CAST((extract(epoch FROM now()) - :recent_s) * 1000 AS bigint)
    ORDER BY created_at DESC LIMIT :most
) AS newest GROUP BY share
""")


async def take(connection: AsyncConnection, backend: str, now: datetime) -> QueueSnapshot:
    """Returns the queue of a backend."""
    given = {"backend": backend}
    lines = (await connection.execute(LINES, given)).all()
    running = (await connection.execute(RUNNING, given)).all()
    arrivals = (await connection.execute(ARRIVALS, given | {"recent_s": RECENT_S, "most": ARRIVALS_MOST})).all()
    slots = (await connection.execute(SLOTS, given | {"since": now - SILENT})).one()
    reported = jobs_at_a_time([WorkerReport(*report) for report in slots.reports], backend)
    return QueueSnapshot(
        time=now,
        slots=reported if slots.total is None else min(reported, slots.total),
        waiting=[WaitingLine(TenantShare.parse(row.share), row.ids, row.variants, row.durations) for row in lines],
        running=_running(running, now),
        rates=await run_rates.read(connection, backend),
        per_minute=slots.per_minute,
        arrivals=_arrivals(arrivals),
    )


def _arrivals(rows: Sequence[sa.Row[Any]]) -> dict[TenantShare, float]:
    """Returns the jobs a second of each tenant."""
    return {
        TenantShare.parse(row.share): row.moments / (float(row.seconds) if row.entries >= ARRIVALS_MOST else RECENT_S)
        for row in rows
    }


def _running(rows: Sequence[sa.Row[Any]], now: datetime) -> list[RunningJob]:
    return [
        RunningJob(
            row.id,
            TenantShare.parse(row.share),
            row.variant,
            row.duration,
            now if row.begun is None else datetime.fromtimestamp(row.begun / 1000, UTC),
        )
        for row in rows
    ]
