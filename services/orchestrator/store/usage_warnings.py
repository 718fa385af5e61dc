"""PostgresUsageWarnings: the warnings of counters, raised by the statements that raise the counters."""

from collections.abc import Sequence

import sqlalchemy as sa

from services.orchestrator.domain.limits.warning import AGAIN_AFTER, THRESHOLDS, CounterWarning
from services.orchestrator.store.database import Database

TAKEN_MOST = 200

# Part of a statement that raises counters: `taken` has their id, period, what is `counted` now, and the `most`; `:now`
# is the time. The counters are locked, so two transactions never pass the same threshold at once. A counter below all
# thresholds writes nothing.
RAISE = f"""
    INSERT INTO usage_warnings AS warning (counter, threshold, time, again_time)
    SELECT id, threshold, CAST(:now AS timestamptz),
        CASE WHEN period = '' THEN CAST(:now AS timestamptz) + interval '{AGAIN_AFTER.total_seconds():.0f} s' END
    FROM taken, unnest(ARRAY{list(THRESHOLDS)}) AS threshold
    WHERE most > 0 AND counted >= CAST(most AS double precision) * threshold / 100
    ON CONFLICT (counter, threshold) DO UPDATE SET time = excluded.time, again_time = excluded.again_time, taken = false
    WHERE warning.again_time <= excluded.time
"""

# SKIP LOCKED: another process is taking those.
TAKE = sa.text("""
WITH open AS (
    SELECT counter, threshold FROM usage_warnings WHERE NOT taken ORDER BY time LIMIT :limit FOR UPDATE SKIP LOCKED
), now_taken AS (
    UPDATE usage_warnings AS warning SET taken = true FROM open
    WHERE warning.counter = open.counter AND warning.threshold = open.threshold
    RETURNING warning.counter, warning.threshold, warning.time
)
SELECT tenant, subject, measure, period, threshold FROM now_taken JOIN counters ON counters.id = counter
ORDER BY time, counter, threshold
""")


class PostgresUsageWarnings:
    """The warnings of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def take(self) -> Sequence[CounterWarning]:
        """Returns warnings that no process has taken yet, the oldest first."""
        async with self._database.reading() as connection:
            rows = await connection.execute(TAKE, {"limit": TAKEN_MOST})
            return [CounterWarning(row.tenant, row.subject, row.measure, row.period, row.threshold) for row in rows]
