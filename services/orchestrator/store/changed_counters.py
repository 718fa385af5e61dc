"""The statements of an audit of what has changed. All of them run in one snapshot, one after the other.

`unaudited_settlements` has the jobs that were settled or refunded since the audit before; their holds say what these
jobs have used. `audited_counters` keeps the sum for each counter, so that old holds are not read again. What is held is
the sum of the holds of unfinished jobs, which are few. So an audit takes as long as there are unfinished and just
ended jobs, however many there were before.
"""

import sqlalchemy as sa

from services.orchestrator.store.schema import ENDED

# Of several bookings of a job, the first tells what was used before all of them: 'settle' precedes 'refund'.
ADD_USED = sa.text("""
WITH bookings AS (SELECT DISTINCT ON (job_id) job_id, before FROM unaudited_settlements ORDER BY job_id, kind DESC)
INSERT INTO audited_counters AS audited (counter, used)
SELECT each.counter, sum(each.used - coalesce(each.before, 0))
FROM bookings JOIN holds USING (job_id), unnest(holds.counters, holds.settled, bookings.before)
    AS each (counter, used, before)
GROUP BY each.counter
ON CONFLICT (counter) DO UPDATE SET used = audited.used + excluded.used
""")

WRONG_COUNTERS = sa.text(f"""
WITH held AS (
    SELECT each.counter, sum(each.amount) AS held
    FROM jobs JOIN holds ON holds.job_id = jobs.id, unnest(counters, amounts) AS each (counter, amount)
    WHERE jobs.state NOT IN {ENDED} GROUP BY each.counter
), examined AS (
    SELECT counter FROM held
    UNION SELECT unnest(counters) FROM unaudited_settlements JOIN holds USING (job_id)
    UNION SELECT counter FROM audited_counters WHERE wrong
)
SELECT counter FROM examined
    LEFT JOIN held USING (counter) LEFT JOIN audited_counters USING (counter) LEFT JOIN counters ON id = counter
WHERE (counters.held, counters.used) IS DISTINCT FROM
    (coalesce(held.held, 0), coalesce(audited_counters.used, 0))
""")
MARK_WRONG = sa.text("""
WITH unmarked AS (
    UPDATE audited_counters SET wrong = false WHERE wrong AND counter <> ALL(CAST(:counters AS bigint[]))
)
INSERT INTO audited_counters (counter, used, wrong) SELECT unnest(CAST(:counters AS bigint[])), 0, true
ON CONFLICT (counter) DO UPDATE SET wrong = true
""")

# A job's entries of the ledger have what it holds for spending, and what it has used of that.
WRONG_JOBS = sa.text(f"""
WITH examined AS (
    SELECT id AS job_id FROM jobs WHERE state NOT IN {ENDED} UNION SELECT job_id FROM unaudited_settlements
)
SELECT job_id FROM examined JOIN holds USING (job_id)
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(reserved_micros), 0) AS held, coalesce(sum(spent_micros), 0) AS used
        FROM ledger_entries WHERE reference = job_id
    ) AS booked
WHERE EXISTS (
    SELECT FROM unnest(measures, amounts, settled) AS each (measure, amount, used)
    WHERE each.measure = 'spend' AND (booked.held, booked.used) IS DISTINCT FROM
        (CASE WHEN settled_all THEN 0 ELSE each.amount END, coalesce(each.used, 0))
)
""")

# A job that was wrong is looked at again by the next audit, which must not add what it has used once more.
KEEP_WRONG = sa.text("""
WITH kept AS (
    UPDATE unaudited_settlements SET before = holds.settled FROM holds
    WHERE holds.job_id = unaudited_settlements.job_id AND holds.job_id = ANY(CAST(:jobs AS text[]))
)
DELETE FROM unaudited_settlements WHERE job_id <> ALL(CAST(:jobs AS text[]))
""")

# Credits are few, so all of them are compared. An entry of a user counts for the tenant too. A user who is being
# deleted has a pseudonym in some entries already: it counts as the user.
WRONG_CREDITS = sa.text("""
WITH counted AS (
    SELECT counters.tenant, coalesce('user:' || pseudonym, subject) AS subject, sum(credit) AS credit
    FROM counters LEFT JOIN user_deletions AS deletion
        ON deletion.tenant = counters.tenant AND 'user:' || deletion."user" = subject
    WHERE credit <> 0 AND measure = 'spend' AND period ~ '^\\d{4}-\\d{2}$' AND subject NOT LIKE 'key:%'
    GROUP BY 1, 2
), booked AS (
    SELECT entry.tenant, subject, sum(credit_micros) AS credit
    FROM ledger_entries AS entry LEFT JOIN user_deletions AS deletion USING (tenant, "user"),
        unnest(ARRAY['', 'user:' || coalesce(pseudonym, entry."user")]) AS subject
    WHERE kind NOT IN ('reserve', 'settle') AND credit_micros <> 0 AND (entry."user" <> '' OR subject = '')
    GROUP BY 1, 2
)
SELECT count(*) FROM counted FULL JOIN booked USING (tenant, subject)
WHERE coalesce(counted.credit, 0) <> coalesce(booked.credit, 0)
""")
