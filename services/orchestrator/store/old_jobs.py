"""PostgresOldJobs: ended jobs that are due to be removed, with their events and fragments.

Every removal first takes a share of the tenant's row, for which a new legal hold waits, and the other way round.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.domain.retention import Due
from services.orchestrator.ports.retention import OldJob, OnHold
from services.orchestrator.store import stored_bytes
from services.orchestrator.store.database import Database

COUNT_MOST = 100_000
"""Things that are counted as due, at most."""

HELD = "(SELECT id FROM tenants WHERE legal_hold)"
FOLLOWING = "(CAST(:id AS text) IS NULL OR (end_time, id) > (:time, :id)) ORDER BY end_time, id LIMIT :limit"
WITH_EVENTS = f"""
SELECT id, tenant, "user", end_time FROM jobs
WHERE events_kept AND end_time < :before AND tenant NOT IN {HELD}
"""
# A job that resumes another goes with that one. A job that was paid for and has no video yet can still be resumed,
# unless its user has deleted it.
DUE_JOBS = f"""
SELECT id, tenant, "user", end_time FROM jobs
WHERE resumes IS NULL AND end_time < :before AND tenant NOT IN {HELD}
    AND NOT EXISTS (
        SELECT FROM jobs AS later
        WHERE later.resumes = jobs.id AND (later.end_time IS NULL OR later.end_time >= :before)
    )
    AND (
        call = 'charged' AND state = 'failed' AND refunded_micros = 0 AND error ->> 'resumable' = 'true'
        AND delete_time IS NULL
        AND NOT EXISTS (SELECT FROM jobs AS fetched WHERE fetched.resumes = jobs.id AND fetched.state = 'succeeded')
    ) IS NOT TRUE
"""
RESUMES = sa.text('SELECT id, tenant, "user", end_time FROM jobs WHERE resumes = :id AND end_time IS NOT NULL')
NEEDING = sa.text(f"SELECT id FROM jobs WHERE id = ANY(:ids) AND (end_time IS NULL OR tenant IN {HELD})")

SHARE = sa.text("SELECT legal_hold FROM tenants WHERE id = :tenant FOR SHARE")

# No operation takes a video as its input, so other jobs can have a fragment only as a fragment or as their video.
FORGET = sa.text("""
WITH fragments AS MATERIALIZED (
    SELECT DISTINCT body ->> 'asset' AS sha256 FROM job_events WHERE job_id = :id AND kind = 'FragmentReady'
)
DELETE FROM assets USING fragments
WHERE assets.tenant = :tenant AND assets."user" = :user AND assets.sha256 = fragments.sha256
    AND assets.media_type LIKE 'video/%' AND NOT assets.kept
    AND EXISTS (
        SELECT FROM jobs JOIN assets AS video
            ON video.tenant = jobs.tenant AND video."user" = jobs."user" AND video.sha256 = jobs.output ->> 'asset'
        WHERE jobs.id = :id
    )
    AND NOT EXISTS (
        SELECT FROM jobs WHERE jobs.output ->> 'asset' = assets.sha256
            AND jobs.tenant = :tenant AND jobs."user" = :user
    )
    AND NOT EXISTS (
        SELECT FROM job_events AS other JOIN jobs ON jobs.id = other.job_id
        WHERE other.body ->> 'asset' = assets.sha256 AND other.kind = 'FragmentReady' AND other.job_id <> :id
            AND jobs.tenant = :tenant AND jobs."user" = :user
    )
RETURNING size_bytes
""")
FORGOTTEN = sa.text("""
SELECT DISTINCT body ->> 'asset' FROM job_events
WHERE job_id = :id AND kind = 'FragmentReady'
    AND NOT EXISTS (SELECT FROM assets WHERE tenant = :tenant AND sha256 = body ->> 'asset')
""")
# The last ones first: each event refers to the one before it.
REMOVE_EVENTS = sa.text("""
DELETE FROM job_events
WHERE job_id = :id AND sequence > (SELECT max(sequence) - :most FROM job_events WHERE job_id = :id)
""")
WITHOUT_EVENTS = sa.text("UPDATE jobs SET events_kept = false WHERE id = :id AND events_kept")

KEEP_VIDEO = sa.text("""
UPDATE assets SET kept = true FROM jobs
WHERE (jobs.id = :id OR jobs.resumes = :id) AND assets.tenant = jobs.tenant AND assets."user" = jobs."user"
    AND assets.sha256 = jobs.output ->> 'asset' AND NOT kept
""")
LOCK = sa.text("SELECT id FROM jobs WHERE id = :id FOR UPDATE")
# The counters keep what the jobs have used. They are locked in the order of their names, as everywhere.
LOCK_COUNTERS = sa.text("""
SELECT FROM counters WHERE id IN (
    SELECT each.counter
    FROM jobs JOIN holds ON holds.job_id = jobs.id, unnest(holds.counters, holds.settled) AS each (counter, used)
    WHERE (jobs.id = :id OR jobs.resumes = :id) AND each.used <> 0
) ORDER BY subject, measure, period FOR UPDATE
""")
REMOVE = sa.text("""
WITH family AS MATERIALIZED (
    SELECT id FROM jobs WHERE id = :id OR resumes = :id
), calls AS (
    DELETE FROM paid_calls USING family WHERE job_id = family.id
), held AS (
    DELETE FROM holds USING family WHERE job_id = family.id RETURNING holds.counters, holds.settled
), kept AS (
    SELECT each.counter, sum(each.used) AS used
    FROM held, unnest(held.counters, held.settled) AS each (counter, used) WHERE each.used <> 0 GROUP BY each.counter
), counted AS (
    UPDATE counters SET removed = removed + kept.used FROM kept WHERE counters.id = kept.counter
)
DELETE FROM jobs USING family WHERE jobs.id = family.id
""")


class PostgresOldJobs:
    """The ended jobs of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def events_due(self, before: datetime) -> Due:
        """Returns which jobs that ended before then still have events."""
        return await self._due(WITH_EVENTS, before)

    async def with_events(self, before: datetime, *, after: OldJob | None, limit: int) -> list[OldJob]:
        """Returns jobs that ended before then and still have events, the oldest first, those that follow `after`."""
        return await self._page(WITH_EVENTS, before, after, limit)

    async def forget_fragments(self, job: OldJob) -> list[str]:
        """Removes the records of a job's fragments if its video exists; returns those that no user has any more."""
        given = {"id": job.id, "tenant": job.tenant, "user": job.user}
        async with self._database.writing() as connection:
            await _share(connection, job)
            if size_bytes := sum((await connection.execute(FORGET, given)).scalars()):
                await stored_bytes.forget(connection, job.tenant, job.user, size_bytes)
            return list((await connection.execute(FORGOTTEN, given)).scalars())

    async def remove_events(self, job: OldJob, most: int) -> int:
        """Removes the last events of a job, at most so many."""
        async with self._database.writing() as connection:
            await _share(connection, job)
            removed = (await connection.execute(REMOVE_EVENTS, {"id": job.id, "most": most})).rowcount
            if removed < most:
                await connection.execute(WITHOUT_EVENTS, {"id": job.id})
            return removed

    async def jobs_due(self, before: datetime) -> Due:
        """Returns which jobs are due."""
        return await self._due(DUE_JOBS, before)

    async def due_jobs(self, before: datetime, *, after: OldJob | None, limit: int) -> list[OldJob]:
        """Returns jobs that are due, without those that resume them, the oldest first, those that follow `after`."""
        return await self._page(DUE_JOBS, before, after, limit)

    async def resumes_of(self, job: OldJob) -> list[OldJob]:
        """Returns the jobs that resume a job."""
        async with self._database.reading() as connection:
            return [OldJob(*row) for row in await connection.execute(RESUMES, {"id": job.id})]

    async def remove(self, job: OldJob, before: datetime) -> int:
        """Removes a job and those that resume it, with their holds and paid calls, if they are still due."""
        async with self._database.writing() as connection:
            await _share(connection, job)
            await connection.execute(LOCK, {"id": job.id})  # a resume that begins meanwhile waits, or is seen below
            still = sa.text(f"SELECT EXISTS ({DUE_JOBS} AND id = :id)")
            if not (await connection.execute(still, {"id": job.id, "before": before})).scalar_one():
                return 0
            await connection.execute(KEEP_VIDEO, {"id": job.id})
            await connection.execute(LOCK_COUNTERS, {"id": job.id})
            return (await connection.execute(REMOVE, {"id": job.id})).rowcount

    async def needing_checkpoints(self, job_ids: Collection[str]) -> set[str]:
        """Returns those of some jobs that have not ended, or whose tenant is under a legal hold."""
        async with self._database.reading() as connection:
            return set((await connection.execute(NEEDING, {"ids": list(job_ids)})).scalars())

    async def _due(self, query: str, before: datetime) -> Due:
        counted = sa.text(
            f"SELECT count(*), min(end_time) FROM ({query} ORDER BY end_time, id LIMIT {COUNT_MOST}) AS due"
        )
        async with self._database.reading() as connection:
            row = (await connection.execute(counted, {"before": before})).one()
        return Due(*row)

    async def _page(self, query: str, before: datetime, after: OldJob | None, limit: int) -> list[OldJob]:
        given: dict[str, Any] = {"before": before, "limit": limit, "id": None, "time": None}
        if after is not None:
            given |= {"id": after.id, "time": after.end_time}
        async with self._database.reading() as connection:
            return [OldJob(*row) for row in await connection.execute(sa.text(f"{query} AND {FOLLOWING}"), given)]


async def _share(connection: AsyncConnection, job: OldJob) -> None:
    """Holds off a legal hold until the transaction ends. Raises OnHold if there is one."""
    if (await connection.execute(SHARE, {"tenant": job.tenant})).scalar_one_or_none():
        raise OnHold
