"""PostgresCounters: the counters of limits, and whether they are what was booked."""

from collections.abc import Sequence

import sqlalchemy as sa

from services.orchestrator.domain.caller import Caller
from services.orchestrator.domain.limits.hold import limits_of
from services.orchestrator.domain.limits.status import LimitStatus
from services.orchestrator.ports.clock_and_ids import Clock
from services.orchestrator.store.database import Database

STATUS = sa.text("""
SELECT subject, measure, period, used, held, credit FROM counters
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


class PostgresCounters:
    """The counters of one database."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def status(self, caller: Caller) -> Sequence[LimitStatus]:
        """Returns the state of every limit of the caller's plan now, and of what is always counted."""
        counted = limits_of(caller, self._clock.now())
        names = [each.counter for each in counted]
        given = {
            "tenant": caller.tenant,
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
            amounts = (0, 0, 0) if row is None else (row.used, row.held, row.credit)
            statuses.append(LimitStatus(each.limit, each.period, *amounts))
        return statuses

    async def audit(self) -> int:
        """Returns how many counters differ from their holds, or spending from the ledger: 0, always."""
        async with self._database.reading() as connection:
            holds = (await connection.execute(AUDIT)).scalar_one()
            return int(holds) + int((await connection.execute(AUDIT_LEDGER)).scalar_one())
