"""PostgresFleet: the queues and the workers of an installation, for the metrics of every process."""

import sqlalchemy as sa

from services.orchestrator.domain.fleet import Backlog, Fleet, WorkerReport, jobs_at_a_time
from services.orchestrator.domain.job import State
from services.orchestrator.ports.clock_and_ids import Clock
from services.orchestrator.store.database import Database
from services.orchestrator.store.queue_snapshot import SILENT
from services.orchestrator.store.schema import jobs

BACKLOGS = (
    sa.select(jobs.c.backend, sa.func.count().label("waiting"), sa.func.min(jobs.c.create_time).label("oldest"))
    .where(jobs.c.state == State.QUEUED.value)
    .group_by(jobs.c.backend)
)
# A name has a row for each start; only its newest heartbeat counts.
WORKERS = sa.text("""
SELECT max(beat_time) > :since AS alive, (array_agg(slots ORDER BY beat_time DESC))[1] AS slots,
    (array_agg(servers ORDER BY beat_time DESC))[1] AS servers
FROM executors GROUP BY coalesce(worker, id)
""")


class PostgresFleet:
    """The fleet of one database."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def look(self) -> Fleet:
        """Returns the fleet as it is now. Raises services.errors.Unavailable."""
        async with self._database.reading() as connection:
            waiting = (await connection.execute(BACKLOGS)).all()
            workers = (await connection.execute(WORKERS, {"since": self._clock.now() - SILENT})).all()
        alive = [WorkerReport(worker.slots or {}, worker.servers or {}) for worker in workers if worker.alive]
        return Fleet(
            backlogs={row.backend: Backlog(row.waiting, row.oldest) for row in waiting},
            slots={name: jobs_at_a_time(alive, name) for worker in alive for name in worker.slots},
            alive=len(alive),
            silent=len(workers) - len(alive),
        )
