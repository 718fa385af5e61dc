"""The admission statement: accounts, job, first event, ledger and queue entry, all or nothing.

It is one statement and a transaction of its own, without BEGIN and COMMIT. So a tenant's account row, the one thing
that submissions of one tenant contend for, stays locked while the database works, and not while this process does. An
account that cannot take the job is not in `booked`; the job then lacks an account, which the schema forbids, and all of
it is undone.
"""

import json
import re
from dataclasses import asdict
from typing import Any

import psycopg

from services.orchestrator.domain.event import Admitted
from services.orchestrator.domain.job import Job
from services.orchestrator.domain.quota import Plan, period
from services.orchestrator.domain.spec import to_json
from services.orchestrator.store import row_mapping
from services.orchestrator.store.queue_entries import Queue

BOOK = """
WITH booked AS (
    INSERT INTO accounts AS held (tenant, "user", period, budget_micros, reserved_micros, spent_micros, active_jobs)
    SELECT :tenant, asked."user", :period, asked.budget, :quote, 0, 1
    FROM (VALUES (1, '', CAST(:tenant_budget AS bigint), CAST(:tenant_jobs AS bigint)),
                 (2, CAST(:user AS text), CAST(:user_budget AS bigint), CAST(:user_jobs AS bigint)))
        AS asked (place, "user", budget, jobs)
    WHERE :quote <= asked.budget AND 1 + (  -- a job that was begun in an earlier period is unfinished in this one too
            SELECT coalesce(sum(earlier.active_jobs), 0) FROM accounts AS earlier
            WHERE earlier.tenant = :tenant AND earlier."user" = asked."user" AND earlier.period <> :period
        ) <= asked.jobs
    ORDER BY asked.place  -- always the tenant's row first: no two submissions can wait for each other
    ON CONFLICT (tenant, "user", period) DO UPDATE SET
        budget_micros = excluded.budget_micros,
        reserved_micros = held.reserved_micros + excluded.reserved_micros,
        active_jobs = held.active_jobs + 1
    WHERE held.reserved_micros + held.spent_micros + excluded.reserved_micros <= excluded.budget_micros
        AND held.active_jobs + 1 + (
            SELECT coalesce(sum(earlier.active_jobs), 0) FROM accounts AS earlier
            WHERE earlier.tenant = held.tenant AND earlier."user" = held."user" AND earlier.period <> held.period
        ) <= CASE held."user" WHEN '' THEN CAST(:tenant_jobs AS bigint) ELSE CAST(:user_jobs AS bigint) END
    RETURNING id, "user"
), admitted AS (
    INSERT INTO jobs (id, tenant, "user", request_id, fingerprint, backend, spec, quote_micros, price_micros,
                      resumes, call, written, state, stage, progress, attempt, last_sequence, create_time, expire_time,
                      tenant_account, user_account)
    SELECT :id, :tenant, :user, :request_id, :fingerprint, :backend, CAST(:spec AS jsonb), :quote, :price,
           :resumes, :call, CAST(:written AS jsonb), 'queued', 'queued', 0, 0, 1, :now, :expire,
           (SELECT id FROM booked WHERE "user" = ''), (SELECT id FROM booked WHERE "user" = :user)
    RETURNING id
), told AS (
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
        if error.diag.column_name not in ("tenant_account", "user_account"):
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
        "tenant_budget": plan.tenant_budget_micros,
        "user_budget": plan.user_budget_micros,
        "tenant_jobs": plan.tenant_active_jobs,
        "user_jobs": plan.user_active_jobs,
        "admitted": json.dumps(row_mapping.body_json(Admitted(job.quote_micros))),
    }
