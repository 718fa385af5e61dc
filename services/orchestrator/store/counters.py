"""PostgresCounters: the counters of limits."""

from collections.abc import Sequence

import sqlalchemy as sa

from services.orchestrator.domain.caller import Caller
from services.orchestrator.domain.limits.hold import limits_of
from services.orchestrator.domain.limits.status import LimitStatus
from services.orchestrator.domain.limits.warning import UsageWarning
from services.orchestrator.ports.clock_and_ids import Clock
from services.orchestrator.store.database import Database

STATUS = sa.text("""
SELECT subject, measure, period, used, held, credit, warned.thresholds, warned.times
FROM counters CROSS JOIN LATERAL (
    SELECT array_agg(threshold ORDER BY threshold) AS thresholds, array_agg(time ORDER BY threshold) AS times
    FROM usage_warnings WHERE counter = counters.id AND (again_time > :now) IS NOT FALSE
) AS warned
WHERE tenant = :tenant AND (subject, measure, period) IN (
    SELECT * FROM unnest(CAST(:subjects AS text[]), CAST(:measures AS text[]), CAST(:periods AS text[]))
)
""")


class PostgresCounters:
    """The counters of one database."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def status(self, caller: Caller) -> Sequence[LimitStatus]:
        """Returns the state of every limit of the caller's plan now, and of what is always counted."""
        now = self._clock.now()
        counted = limits_of(caller, now)
        names = [each.counter for each in counted]
        given = {
            "tenant": caller.tenant,
            "now": now,
            "subjects": [name.subject for name in names],
            "measures": [name.measure for name in names],
            "periods": [name.period for name in names],
        }
        async with self._database.reading() as connection:
            rows = list(await connection.execute(STATUS, given))
        found = {(row.subject, row.measure, row.period): row for row in rows}
        statuses = []
        for each in counted:
            name = each.counter
            row = found.get((name.subject, name.measure, name.period))
            if row is None:
                statuses.append(LimitStatus(each.limit, each.period))
                continue
            warnings = tuple(map(UsageWarning, row.thresholds or (), row.times or ()))
            statuses.append(LimitStatus(each.limit, each.period, row.used, row.held, row.credit, warnings))
        return statuses
