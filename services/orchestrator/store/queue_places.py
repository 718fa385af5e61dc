"""The places of jobs in the queues of their backends."""

from collections.abc import Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

# Since when a job waits: since its admission, or since the event that put it onto a queue again.
PLACES = sa.text("""
SELECT id, place FROM (
    SELECT id, row_number() OVER (PARTITION BY backend ORDER BY since, id) AS place FROM (
        SELECT id, backend, CASE WHEN workflow = '' THEN create_time ELSE (
            SELECT time FROM job_events WHERE job_id = jobs.id AND sequence = jobs.last_sequence
        ) END AS since FROM jobs
        WHERE state = 'queued' AND backend IN (SELECT backend FROM jobs WHERE id = ANY(:ids))
    ) AS waiting
) AS placed WHERE id = ANY(:ids)
""")


async def queue_places(connection: AsyncConnection, job_ids: Sequence[str]) -> Mapping[str, int]:
    """See Store.queue_places."""
    return {row.id: row.place for row in await connection.execute(PLACES, {"ids": list(job_ids)})}
