"""The admission statement: accounts, job, holds, first event, ledger and queue entry, all or nothing.

It is one statement and a transaction of its own, without BEGIN and COMMIT. So a tenant's account row, the one thing
that submissions of one tenant contend for, stays locked while the database works, and not while this process does. An
account that cannot take the job is not in `booked`; then the job gets no quote, which the schema forbids, and
PostgreSQL undoes all of it.

The accounts come as arrays: whom each belongs to (empty: the tenant), its budget, and how many jobs may be unfinished.
"""

import json
import re
from dataclasses import asdict
from typing import Any

import psycopg

from services.orchestrator.domain.budget_period import period
from services.orchestrator.domain.event import Admitted
from services.orchestrator.domain.job import Job
from services.orchestrator.domain.plan import Plan
from services.orchestrator.domain.spec import to_json
from services.orchestrator.store import row_mapping
from services.orchestrator.store.queue_entries import Queue

BOOK = """
WITH asked AS (  -- inner SELECTs hide the arrays' lengths from the planner: then it keeps one plan for all submissions
    SELECT * FROM unnest((SELECT CAST(:subjects AS text[])), (SELECT CAST(:budgets AS bigint[])),
                         (SELECT CAST(:active_limits AS bigint[]))) AS accounts ("user", budget, jobs)
), booked AS (
    INSERT INTO accounts AS held (tenant, "user", period, budget_micros, reserved_micros, spent_micros, active_jobs)
    SELECT :tenant, asked."user", :period, asked.budget, :quote, 0, 1
    FROM asked
    WHERE :quote <= asked.budget AND 1 + (  -- a job that was begun in an earlier period is unfinished in this one too
            SELECT coalesce(sum(earlier.active_jobs), 0) FROM accounts AS earlier
            WHERE earlier.tenant = :tenant AND earlier."user" = asked."user" AND earlier.period <> :period
        ) <= asked.jobs
    ORDER BY asked."user"  -- the same order everywhere, the tenant first: no two transactions wait for each other
    ON CONFLICT (tenant, "user", period) DO UPDATE SET
        budget_micros = excluded.budget_micros,
        reserved_micros = held.reserved_micros + excluded.reserved_micros,
        active_jobs = held.active_jobs + 1
    WHERE held.reserved_micros + held.spent_micros + excluded.reserved_micros <= excluded.budget_micros
        AND held.active_jobs + 1 + (
            SELECT coalesce(sum(earlier.active_jobs), 0) FROM accounts AS earlier
            WHERE earlier.tenant = held.tenant AND earlier."user" = held."user" AND earlier.period <> held.period
        ) <= (SELECT asked.jobs FROM asked WHERE asked."user" = held."user")
    RETURNING id, "user"
), admitted AS (
    INSERT INTO jobs (id, tenant, "user", request_id, fingerprint, backend, spec, quote_micros, price_micros,
                      resumes, call, written, state, stage, progress, attempt, last_sequence, create_time, expire_time,
                      tenant_account, user_account)
    SELECT :id, :tenant, :user, :request_id, :fingerprint, :backend, CAST(:spec AS jsonb),
           CASE WHEN (SELECT count(*) FROM booked) = (SELECT count(*) FROM asked) THEN CAST(:quote AS bigint) END,
           :price, :resumes, :call, CAST(:written AS jsonb), 'queued', 'queued', 0, 0, 1, :now, :expire,
           -- for processes of the version before holds, which find the accounts here
           (SELECT id FROM booked WHERE "user" = ''), (SELECT id FROM booked WHERE "user" <> '')
    RETURNING id
), set_aside AS (
    INSERT INTO holds (job_id, account, amount_micros) SELECT admitted.id, booked.id, :quote FROM booked, admitted
), event AS (
    INSERT INTO job_events (job_id, sequence, time, kind, body, terminal)
    SELECT id, 1, :now, 'Admitted', CAST(:admitted AS jsonb), false FROM admitted
), entered AS (
    INSERT INTO ledger_entries (account, job_id, kind, reserved_micros, spent_micros, time)
    SELECT booked.id, admitted.id, 'reserve', :quote, 0, :now FROM booked, admitted
)
SELECT dbos.enqueue_workflow(
    workflow_name => :workflow, queue_name => :backend, positional_args => ARRAY[to_json(id)], workflow_id => id,
    app_version => :version, queue_partition_key => :tenant, application_name => :application
) FROM admitted
"""

# In the placeholder style of the driver.
STATEMENT = re.sub(r"(?<!:):(\w+)", r"%(\1)s", BOOK)


async def book(
    connection: psycopg.AsyncConnection[Any], queue: Queue, job: Job, fingerprint: str, plan: Plan, backend: str
) -> bool:
    """Books, stores and queues a job. Returns False, with nothing done, when an account cannot take it.

    The connection commits by itself. Raises psycopg.IntegrityError when the request_id is taken.
    """
    # By the driver itself: for so many parameters SQLAlchemy would need as much processor time again.
    try:
        await connection.execute(STATEMENT, asdict(queue) | values(job, fingerprint, plan, backend))
    except psycopg.errors.NotNullViolation as error:
        if error.diag.column_name != "quote_micros":
            raise
        return False
    return True


def values(job: Job, fingerprint: str, plan: Plan, backend: str) -> dict[str, Any]:
    """Returns the statement's parameters for a job."""
    return {
        "id": job.id,
        "tenant": job.tenant,
        "user": job.user,
        "request_id": job.request_id,
        "fingerprint": fingerprint,
        "backend": backend,
        "spec": json.dumps(to_json(job.spec)),
        "quote": job.quote_micros,
        "price": job.price_micros,
        "resumes": job.resumes or None,
        "call": job.call.value,
        "written": json.dumps(row_mapping.body_json(job.written)) if job.written else None,
        "now": job.create_time,
        "expire": job.expire_time,
        "period": period(job.create_time),
        "subjects": ["", job.user],
        "budgets": [plan.tenant_budget_micros, plan.user_budget_micros],
        "active_limits": [plan.tenant_active_jobs, plan.user_active_jobs],
        "admitted": json.dumps(row_mapping.body_json(Admitted(job.quote_micros))),
    }
