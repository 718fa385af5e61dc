"""The statements of a full audit: every counter, job, asset and entry of the ledger."""

import sqlalchemy as sa

# The counters of stored bytes have no holds: they are compared with the assets.
HOLDS = sa.text("""
WITH summed AS (
    SELECT counter, sum(amount) FILTER (WHERE NOT settled_all) AS held, sum(used) AS used
    FROM holds, unnest(counters, amounts, settled) AS each (counter, amount, used) GROUP BY counter
)
SELECT tenant, subject, measure, period, counters.held, counters.used, coalesce(summed.held, 0) AS expected_held,
    coalesce(summed.used, 0) + coalesce(counters.removed, 0) AS expected_used
FROM counters FULL JOIN summed ON summed.counter = counters.id
WHERE measure IS DISTINCT FROM 'bytes' AND (counters.held, counters.used) IS DISTINCT FROM
    (coalesce(summed.held, 0), coalesce(summed.used, 0) + coalesce(counters.removed, 0))
ORDER BY tenant, subject, measure, period LIMIT :limit
""")

# All months of a subject together: every entry of a job is booked in the month of its admission. A user who is being
# deleted has a pseudonym in some entries already: it counts as the user.
LEDGER = sa.text("""
WITH counted AS (
    SELECT counters.tenant, coalesce('user:' || pseudonym, subject) AS subject, sum(held) AS held, sum(used) AS used,
        sum(credit) AS credit
    FROM counters LEFT JOIN user_deletions AS deletion
        ON deletion.tenant = counters.tenant AND 'user:' || deletion."user" = subject
    WHERE measure = 'spend' AND period ~ '^\\d{4}-\\d{2}$' AND subject NOT LIKE 'key:%'
    GROUP BY 1, 2
), booked AS (
    SELECT entry.tenant, subject, sum(reserved_micros) AS held, sum(spent_micros) AS used, sum(credit_micros) AS credit
    FROM ledger_entries AS entry LEFT JOIN user_deletions AS deletion USING (tenant, "user"),
        unnest(ARRAY['', 'user:' || coalesce(pseudonym, entry."user")]) AS subject
    WHERE entry."user" <> '' OR subject = '' GROUP BY 1, 2
)
SELECT * FROM (
    SELECT tenant, subject, coalesce(counted.held, 0) AS held, coalesce(counted.used, 0) AS used,
        coalesce(counted.credit, 0) AS credit, coalesce(booked.held, 0) AS expected_held,
        coalesce(booked.used, 0) AS expected_used, coalesce(booked.credit, 0) AS expected_credit
    FROM counted FULL JOIN booked USING (tenant, subject)
) AS compared
WHERE (held, used, credit) <> (expected_held, expected_used, expected_credit)
ORDER BY tenant, subject LIMIT :limit
""")

# The quote of an unfinished job, and the charge of an ended one, less what was refunded.
JOBS = sa.text("""
WITH owed AS (
    SELECT id, tenant, CASE WHEN ended THEN 0 ELSE quote_micros END AS held,
        coalesce(charged_micros, 0) - refunded_micros AS used
    FROM jobs
), booked AS (
    SELECT reference, sum(reserved_micros) AS held, sum(spent_micros) AS used FROM ledger_entries GROUP BY reference
), set_aside AS (
    SELECT job_id, min(CASE WHEN settled_all THEN 0 ELSE amount END) AS held, min(coalesce(used, 0)) AS used,
        max(CASE WHEN settled_all THEN 0 ELSE amount END) AS held_most, max(coalesce(used, 0)) AS used_most
    FROM holds, unnest(measures, amounts, settled) AS each (measure, amount, used) WHERE measure = 'spend'
    GROUP BY job_id
)
SELECT id, tenant, owed.held, owed.used,
    CASE WHEN (booked.held, booked.used) IS DISTINCT FROM (owed.held, owed.used)
        THEN coalesce(booked.held, 0) ELSE coalesce(set_aside.held, 0) END AS expected_held,
    CASE WHEN (booked.held, booked.used) IS DISTINCT FROM (owed.held, owed.used)
        THEN coalesce(booked.used, 0) ELSE coalesce(set_aside.used, 0) END AS expected_used
FROM owed LEFT JOIN booked ON reference = id LEFT JOIN set_aside ON job_id = id
WHERE (booked.held, booked.used) IS DISTINCT FROM (owed.held, owed.used)
    OR (set_aside.held, set_aside.used) IS DISTINCT FROM (owed.held, owed.used)
    OR (set_aside.held_most, set_aside.used_most) IS DISTINCT FROM (owed.held, owed.used)
ORDER BY id LIMIT :limit
""")

STORED = sa.text("""
WITH counted AS (
    SELECT tenant, subject, used FROM counters WHERE measure = 'bytes'
), stored AS (
    SELECT tenant, subject, sum(size_bytes) AS used FROM assets, unnest(ARRAY['', 'user:' || "user"]) AS subject
    GROUP BY tenant, subject
)
SELECT tenant, subject, 0 AS held, coalesce(counted.used, 0) AS used, 0 AS expected_held,
    coalesce(stored.used, 0) AS expected_used
FROM counted FULL JOIN stored USING (tenant, subject)
WHERE coalesce(counted.used, 0) <> coalesce(stored.used, 0) ORDER BY tenant, subject LIMIT :limit
""")
