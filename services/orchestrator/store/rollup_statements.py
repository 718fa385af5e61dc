"""The statements of daily rollups.

A rollup has two rows at most. One has the sums of the bookings that are in the ledger, and is replaced whenever
bookings of its day come or change. The other, `folded`, has those of bookings that a fold has replaced by balances; it
only grows.
"""

import sqlalchemy as sa

from services.orchestrator.domain.rollup import RollupSums

NAMES = tuple(RollupSums.__dataclass_fields__)
"""The columns with sums."""
OF_JOBS = "kind IN ('reserve', 'settle', 'refund')"
"""Balances have no day, and credits are neither charges nor costs."""
DAY = "CAST(timezone('UTC', period_time) AS date)"
KEY = "day, tenant, model, operation, folded"
SUMS = """
count(*) FILTER (WHERE kind = 'reserve') AS admitted, sum(jobs) AS jobs, sum(video_ms) AS video_ms,
sum(spent_micros) AS charged_micros, sum(vendor_micros) AS vendor_micros, sum(slot_ms) AS slot_ms
"""

# No snapshot is taken for it, so who has waited sees what the round before has written.
ONE_AT_A_TIME = sa.text("LOCK TABLE rollup_rounds IN EXCLUSIVE MODE")
LAST = sa.text("SELECT time FROM rollup_rounds")
DONE = sa.text("UPDATE rollup_rounds SET time = :now")

# What processes of a version without costs have booked of vendors' tasks, as far as their jobs are still there. What
# their prompts cost is not known.
COSTS = sa.text("""
UPDATE ledger_entries SET vendor_micros = CASE kind WHEN 'settle' THEN price_micros ELSE -price_micros END
FROM jobs JOIN paid_calls ON job_id = id
WHERE reference = id AND jobs.call = 'charged' AND resumes IS NULL AND vendor_micros = 0 AND price_micros > 0
    AND (kind = 'settle' AND (paid_calls.state = 'charged' OR refunded_micros > 0) OR kind = 'refund')
""")

# By tenant, because the ledger has an index of each tenant's times.
CHANGED = sa.text(f"""
SELECT DISTINCT tenants.id AS tenant, changed.day FROM tenants CROSS JOIN LATERAL (
    SELECT DISTINCT {DAY} AS day FROM ledger_entries
    WHERE tenant = tenants.id AND {OF_JOBS} AND (CAST(:since AS timestamptz) IS NULL OR time >= :since)
) AS changed
""")
REPLACE = sa.text(f"""
WITH asked AS MATERIALIZED (
    SELECT tenant, day FROM unnest(CAST(:tenants AS text[]), CAST(:days AS date[])) AS each (tenant, day)
), found AS MATERIALIZED (
    SELECT asked.day, asked.tenant, summed.* FROM asked CROSS JOIN LATERAL (
        SELECT model, operation, false AS folded, {SUMS} FROM ledger_entries
        WHERE tenant = asked.tenant AND {OF_JOBS} AND period_time >= timezone('UTC', CAST(asked.day AS timestamp))
            AND period_time < timezone('UTC', CAST(asked.day + 1 AS timestamp))
        GROUP BY model, operation
    ) AS summed
), gone AS (
    DELETE FROM daily_rollups USING asked
    WHERE daily_rollups.tenant = asked.tenant AND daily_rollups.day = asked.day AND NOT folded
        AND NOT EXISTS (
            SELECT FROM found WHERE found.day = daily_rollups.day AND found.tenant = daily_rollups.tenant
                AND found.model = daily_rollups.model AND found.operation = daily_rollups.operation
        )
)
INSERT INTO daily_rollups ({KEY}, {", ".join(NAMES)}) SELECT {KEY}, {", ".join(NAMES)} FROM found
ON CONFLICT ({KEY}) DO UPDATE SET {", ".join(f"{name} = excluded.{name}" for name in NAMES)}
""")

# Part of the statement that folds a month; `folded` is what it deletes.
KEEP_FOLDED = f"""
    INSERT INTO daily_rollups ({KEY}, {", ".join(NAMES)})
    SELECT {DAY}, tenant, model, operation, true, {SUMS} FROM folded WHERE {OF_JOBS} GROUP BY 1, 2, 3, 4
    ON CONFLICT ({KEY}) DO UPDATE SET {", ".join(f"{name} = daily_rollups.{name} + excluded.{name}" for name in NAMES)}
"""

# For the transaction that has just computed them: all that was booked is in the rollups.
WRONG = sa.text(f"""
WITH summed AS (
    SELECT tenant, model, operation, sum(charged_micros) AS charged, sum(vendor_micros) AS vendor
    FROM daily_rollups GROUP BY tenant, model, operation
), booked AS (
    SELECT tenant, model, operation, sum(spent_micros) AS charged, sum(vendor_micros) AS vendor
    FROM ledger_entries WHERE {OF_JOBS} OR kind = 'balance' GROUP BY tenant, model, operation
)
SELECT tenant, model, measure, used, expected_used
FROM summed FULL JOIN booked USING (tenant, model, operation) CROSS JOIN LATERAL (VALUES
    ('charged', coalesce(summed.charged, 0), coalesce(booked.charged, 0)),
    ('vendor', coalesce(summed.vendor, 0), coalesce(booked.vendor, 0))
) AS each (measure, used, expected_used)
WHERE used <> expected_used ORDER BY 1, 2, 3 LIMIT :limit
""")

WHERE = """
day BETWEEN :since AND :until AND (CAST(:tenant AS text) = '' OR tenant = :tenant)
AND (CAST(:model AS text) = '' OR model = :model) AND (CAST(:operation AS text) = '' OR operation = :operation)
"""
TOTALS = ", ".join(f"coalesce(sum({name}), 0) AS {name}" for name in NAMES)
PAGE = sa.text(f"""
SELECT day, tenant, model, operation, {TOTALS} FROM daily_rollups
WHERE {WHERE} AND (
    CAST(:after_day AS date) IS NULL
    OR (day, tenant, model, operation) > (:after_day, :after_tenant, :after_model, :after_operation)
)
GROUP BY day, tenant, model, operation ORDER BY day, tenant, model, operation LIMIT :limit
""")
TOTAL = sa.text(f"SELECT {TOTALS} FROM daily_rollups WHERE {WHERE}")
BY_MODEL = sa.text(f"SELECT model, {TOTALS} FROM daily_rollups WHERE day = :day GROUP BY model ORDER BY model")
BY_TENANT = sa.text(f"SELECT tenant, {TOTALS} FROM daily_rollups WHERE day = :day GROUP BY tenant ORDER BY tenant")
