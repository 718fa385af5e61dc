"""The admission statement: counters, job, holds, first event, ledger and queue entry, all or nothing.

It is one statement and a transaction of its own, without BEGIN and COMMIT. So a tenant's counters, for which its
submissions contend, stay locked while the database works, and not while this process does. A counter that cannot take
its hold is not in `taken`; then the job gets no quote, which the schema forbids, and PostgreSQL undoes all of it.

The holds come as one text, in the order of their counters' names: so all transactions lock counters in the same order,
and none waits for another that waits for it.
"""

import json
from collections.abc import Sequence
from typing import Any

import psycopg

from services.orchestrator.domain.event import Admitted
from services.orchestrator.domain.job import Job
from services.orchestrator.domain.limits.hold import Hold
from services.orchestrator.domain.spec import to_json
from services.orchestrator.domain.turns import TenantShare
from services.orchestrator.store import row_mapping, usage_warnings, webhook_outbox
from services.orchestrator.store.driver_statement import driver_statement
from services.orchestrator.store.queue_entries import Queue

BOOK = (
    """
WITH asked AS (
    SELECT * FROM ROWS FROM (
        json_to_recordset(CAST(:holds AS json))
            AS (subject text, measure text, period text, amount bigint, "limit" bigint)
    ) WITH ORDINALITY AS holds (subject, measure, period, amount, most, place)
), taken AS (
    INSERT INTO counters AS counter (tenant, subject, measure, period, "limit", used, held, credit)
    SELECT :tenant, subject, measure, period, most, 0, amount, greatest(0, amount - most)
    FROM asked
    -- A counter that does not exist yet has no credit. One with a credit exists, so its new row is never stored.
    WHERE most IS NULL OR amount <= most OR EXISTS (
        SELECT FROM counters AS credited WHERE credited.tenant = :tenant AND credited.subject = asked.subject
            AND credited.measure = asked.measure AND credited.period = asked.period AND credited.credit > 0
    )
    ORDER BY place
    ON CONFLICT (tenant, subject, measure, period) DO UPDATE SET
        "limit" = CASE WHEN excluded."limit" IS NOT NULL THEN  -- more may be used already: then only 0 is admitted
            greatest(excluded."limit", counter.used + counter.held + excluded.held - counter.credit) END,
        held = counter.held + excluded.held
    WHERE excluded."limit" IS NULL OR excluded.held = 0
        OR counter.used + counter.held + excluded.held <= excluded."limit" + counter.credit
    RETURNING id, subject, measure, period, used + held AS counted, "limit" + credit AS most
), warned AS ("""
    + usage_warnings.RAISE
    + """), admitted AS (
    INSERT INTO jobs (id, tenant, "user", key, request_id, fingerprint, backend, spec, quote_micros, price_micros,
                      capability, card_version, quote_id, resumes, call, written, state, stage, progress, attempt,
                      last_sequence, create_time, expire_time, trace_context)
    SELECT :id, :tenant, :user, :key, :request_id, :fingerprint, :backend, CAST(:spec AS jsonb),
           CASE WHEN (SELECT count(*) FROM taken) = (SELECT count(*) FROM asked) THEN CAST(:quote AS bigint) END,
           :price, :capability, :card_version, :quote_id, :resumes, :call, CAST(:written AS jsonb), 'queued',
           'queued', 0, 0, 1, :now, :expire, :trace_context
    RETURNING id
), set_aside AS (
    INSERT INTO holds (job_id, counters, measures, amounts)
    SELECT :id, array_agg(taken.id ORDER BY place), array_agg(measure ORDER BY place),
           array_agg(asked.amount ORDER BY place)
    FROM asked JOIN taken USING (subject, measure, period)
), event AS (
    INSERT INTO job_events (job_id, sequence, time, kind, body, terminal)
    SELECT id, 1, :now, 'Admitted', CAST(:admitted AS jsonb), false FROM admitted
), outbox AS ("""
    + webhook_outbox.OF_ADMISSION
    + """), entered AS (
    INSERT INTO ledger_entries (reference, kind, tenant, "user", key, model, operation, capability, card_version,
                                quote_id, reserved_micros, spent_micros, period_time, time)
    SELECT id, 'reserve', :tenant, :user, :key, :model, :operation, :capability, :card_version, :quote_id, :quote, 0,
           :now, :now
    FROM admitted
)
SELECT dbos.enqueue_workflow(
    workflow_name => :workflow, queue_name => :backend, positional_args => ARRAY[to_json(id)], workflow_id => id,
    app_version => :version, queue_partition_key => :share, application_name => :application
) FROM admitted
"""
)

STATEMENT = driver_statement(BOOK)


async def book(
    connection: psycopg.AsyncConnection[Any],
    queue: Queue,
    job: Job,
    fingerprint: str,
    holds: Sequence[Hold],
    backend: str,
    share: TenantShare,
) -> bool:
    """Books, stores and queues a job. Returns False, with nothing done, when a counter cannot take its hold.

    `holds` are in the order of their counters' names. The connection commits by itself. Raises psycopg.IntegrityError
    when the request_id is taken.
    """
    # By the driver itself: for so many parameters SQLAlchemy would need as much processor time again.
    try:
        await connection.execute(STATEMENT, values(queue, job, fingerprint, holds, backend, share))
    except psycopg.errors.NotNullViolation as error:
        if error.diag.column_name != "quote_micros":
            raise
        return False
    return True


def values(
    queue: Queue, job: Job, fingerprint: str, holds: Sequence[Hold], backend: str, share: TenantShare
) -> dict[str, Any]:
    """Returns the statement's parameters for a job."""
    return {
        "workflow": queue.workflow,
        "application": queue.application,
        "version": queue.version,
        "id": job.id,
        "tenant": job.tenant,
        "share": share.key,
        "user": job.user,
        "key": job.key,
        "request_id": job.request_id,
        "fingerprint": fingerprint,
        "backend": backend,
        "spec": json.dumps(to_json(job.spec)),
        "model": job.spec.model,
        "operation": job.spec.operation.kind,
        "capability": job.capability,
        "quote": job.quote_micros,
        "price": job.price_micros,
        "card_version": job.card_version,
        "quote_id": job.quote_id,
        "resumes": job.resumes or None,
        "call": job.call.value,
        "written": json.dumps(row_mapping.body_json(job.written)) if job.written else None,
        "now": job.create_time,
        "expire": job.expire_time,
        "trace_context": job.trace_context or None,
        "holds": json.dumps([_hold_json(hold) for hold in holds]),
        "admitted": json.dumps(row_mapping.body_json(Admitted(job.quote_micros))),
    }


def _hold_json(hold: Hold) -> dict[str, Any]:
    subject, measure, period = hold.counter
    return {"subject": subject, "measure": measure, "period": period, "amount": hold.amount, "limit": hold.most}
