"""PostgresCounters: the counters of limits, and whether they are what was booked."""

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

# Spending is in the ledger too. It is summed there by subject; the counters of one subject and all periods of one kind
# have the same sum, because every entry of a job is booked in the period of its admission.
AUDIT = sa.text("""
WITH held AS (
    SELECT counter, sum(amount) FILTER (WHERE NOT settled_all) AS held, sum(used) AS used
    FROM holds, unnest(counters, amounts, settled) AS each (counter, amount, used) GROUP BY counter
)
SELECT count(*) FROM counters LEFT JOIN held ON held.counter = counters.id
WHERE measure <> 'bytes' AND (counters.held, counters.used) IS DISTINCT FROM
    (coalesce(held.held, 0), coalesce(held.used, 0) + counters.removed)
""")
AUDIT_LEDGER = sa.text("""
WITH counted AS (
    SELECT tenant, subject, sum(held) AS held, sum(used) AS used, sum(credit) AS credit
    FROM counters WHERE measure = 'spend' AND period ~ '^\\d{4}-\\d{2}$' AND subject NOT LIKE 'key:%'
    GROUP BY tenant, subject
), booked AS (
    SELECT tenant, subject, sum(reserved_micros) AS held, sum(spent_micros) AS used, sum(credit_micros) AS credit
    FROM ledger_entries, unnest(ARRAY['', 'user:' || "user"]) AS subject
    WHERE "user" <> '' OR subject = '' GROUP BY tenant, subject
)
SELECT count(*) FROM counted FULL JOIN booked USING (tenant, subject)
WHERE (coalesce(counted.held, 0), coalesce(counted.used, 0), coalesce(counted.credit, 0))
    IS DISTINCT FROM (coalesce(booked.held, 0), coalesce(booked.used, 0), coalesce(booked.credit, 0))
""")
AUDIT_BYTES = sa.text("""
WITH counted AS (
    SELECT tenant, subject, used FROM counters WHERE measure = 'bytes'
), stored AS (
    SELECT tenant, subject, sum(size_bytes) AS used FROM assets, unnest(ARRAY['', 'user:' || "user"]) AS subject
    GROUP BY tenant, subject
)
SELECT count(*) FROM counted FULL JOIN stored USING (tenant, subject)
WHERE coalesce(counted.used, 0) <> coalesce(stored.used, 0)
""")
AUDITS = (AUDIT, AUDIT_LEDGER, AUDIT_BYTES)


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

    async def audit(self) -> int:
        """Returns how many counters differ from their holds, the ledger or the stored assets: 0, always."""
        async with self._database.reading() as connection:
            return sum([int((await connection.execute(audit)).scalar_one()) for audit in AUDITS])
