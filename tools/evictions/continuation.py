"""When the jobs of a worker that was stopped or killed went on: what runs where, and who began an attempt when."""

from collections.abc import Collection, Mapping
from datetime import datetime

import sqlalchemy as sa

from services.orchestrator.store.database import Database

RUNNING = sa.text("""
SELECT jobs.id, jobs.attempt FROM jobs JOIN dbos.workflow_status AS entry
    ON entry.workflow_uuid = coalesce(nullif(jobs.workflow, ''), jobs.id)
WHERE entry.status = 'PENDING' AND entry.executor_id LIKE :worker AND jobs.state = 'running'
""")
BEGUN = sa.text("""
SELECT job_id, (body ->> 'attempt')::int AS attempt, time FROM job_events
WHERE kind = 'Started' AND job_id = ANY(:jobs)
""")
WAITING = sa.text("SELECT count(*) FROM jobs WHERE NOT ended")
ENDED = sa.text("SELECT id FROM jobs WHERE id = ANY(:jobs) AND ended")


class Continuations:
    """The attempts of one installation."""

    def __init__(self, url: str) -> None:
        self._database = Database(url, pool_size=2)

    async def close(self) -> None:
        """Closes the connections."""
        await self._database.close()

    async def running(self, worker: str) -> dict[str, int]:
        """Returns the jobs that a worker runs, with the numbers of their attempts."""
        async with self._database.reading() as connection:
            return {row.id: row.attempt for row in await connection.execute(RUNNING, {"worker": f"{worker}.%"})}

    async def continued(self, jobs: Mapping[str, int]) -> dict[str, datetime]:
        """Returns when the next attempt of each job began, as far as it has."""
        async with self._database.reading() as connection:
            rows = await connection.execute(BEGUN, {"jobs": list(jobs)})
            return {row.job_id: row.time for row in rows if row.attempt == jobs[row.job_id] + 1}

    async def waiting(self) -> int:
        """Returns the number of jobs that have not ended."""
        async with self._database.reading() as connection:
            return int((await connection.execute(WAITING)).scalar_one())

    async def ended(self, jobs: Collection[str]) -> set[str]:
        """Returns which of the jobs have ended."""
        async with self._database.reading() as connection:
            return set((await connection.execute(ENDED, {"jobs": list(jobs)})).scalars())
