"""PostgresInventory: counts and ages of an installation, for metrics."""

from datetime import UTC, timedelta

import sqlalchemy as sa

from services.errors import Unavailable
from services.orchestrator.domain.inventory import DatabaseState, Inventory
from services.orchestrator.ports.clock_and_ids import Clock
from services.orchestrator.store import schema_version
from services.orchestrator.store.database import Database, TooSlow
from services.reasons import ServiceReason

STATEMENT_S = 5.0
"""Seconds that one of the statements may take."""
LONGEST_PERIOD = timedelta(days=32)

ENTRIES = sa.text("""
SELECT queue_name AS backend, CASE status WHEN 'PENDING' THEN 'claimed' ELSE 'waiting' END AS state,
    count(*) AS entries,
    extract(epoch FROM clock_timestamp()) - min(created_at) / 1000.0 AS age_s
FROM dbos.workflow_status WHERE status IN ('ENQUEUED', 'PENDING') AND queue_name IS NOT NULL GROUP BY 1, 2
""")
JOBS = sa.text("""
SELECT count(*) AS unfinished, coalesce(sum(quote_micros), 0) AS held,
    coalesce(extract(epoch FROM clock_timestamp() - min(create_time) FILTER (WHERE state = 'reconciling')), 0) AS age_s
FROM jobs WHERE state NOT IN ('succeeded', 'failed', 'cancelled')
""")
# A limit that has reached a threshold has a row of warnings; whether it is still there, its counter says. The names of
# periods sort as their days do.
LIMITS = sa.text("""
SELECT split_part(counters.measure, ':', 1) AS kind, threshold, count(*) AS limits
FROM usage_warnings JOIN counters ON counters.id = counter
WHERE (used + held) * 100 >= threshold * ("limit" + credit)
    AND (period IN ('', :day, :month) OR (period LIKE 'from %' AND period >= :oldest))
GROUP BY 1, 2
""")
STORED = sa.text("SELECT coalesce(sum(used), 0) AS bytes FROM counters WHERE subject = '' AND measure = 'bytes'")
TRASH = sa.text("""
SELECT count(*) AS entries, coalesce(sum(size_bytes), 0) AS bytes,
    coalesce(extract(epoch FROM clock_timestamp() - min(delete_time)), 0) AS age_s
FROM library_entries WHERE delete_time IS NOT NULL
""")
STATE = sa.text("""
SELECT (SELECT version_num FROM alembic_version) AS version, extract(epoch FROM clock_timestamp()) AS now
""")


class PostgresInventory:
    """The inventory of one database."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def look(self) -> Inventory:
        """Returns what there is now. Raises Unavailable, also if the database takes too long."""
        try:
            return await self._look()
        except TooSlow as slow:
            message = f"The inventory takes more than {STATEMENT_S:g} s a statement."
            raise Unavailable(message, reason=ServiceReason.DATABASE_UNAVAILABLE) from slow

    async def _look(self) -> Inventory:
        today = self._clock.now().astimezone(UTC).date()
        periods = {
            "day": today.isoformat(),
            "month": f"{today:%Y-%m}",
            "oldest": f"from {(today - LONGEST_PERIOD).isoformat()}",
        }
        async with self._database.limited(STATEMENT_S) as connection:
            entries = (await connection.execute(ENTRIES)).all()
            jobs = (await connection.execute(JOBS)).one()
            limits = (await connection.execute(LIMITS, periods)).all()
            stored = (await connection.execute(STORED)).one()
            trash = (await connection.execute(TRASH)).one()
        return Inventory(
            entries={(row.backend, row.state): row.entries for row in entries},
            entry_ages_s={row.backend: float(row.age_s) for row in entries if row.state == "waiting"},
            unfinished=jobs.unfinished,
            held_micros=int(jobs.held),
            limits={(row.kind, row.threshold): row.limits for row in limits},
            stored_bytes=int(stored.bytes),
            trash_entries=trash.entries,
            trash_bytes=int(trash.bytes),
            trash_age_s=float(trash.age_s),
            reconciling_age_s=float(jobs.age_s),
        )

    async def state(self) -> DatabaseState:
        """Returns the state of the database's schema and clock. Raises Unavailable."""
        async with self._database.reading() as connection:
            before = self._clock.now().timestamp()
            found = (await connection.execute(STATE)).one()
            between = (before + self._clock.now().timestamp()) / 2
        return DatabaseState(schema_version.standing(found.version), between - float(found.now))
