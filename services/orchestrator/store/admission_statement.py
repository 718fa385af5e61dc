"""The admission statement: counters, jobs, holds, first events, ledger and queue entries of a group, all or nothing.

It is one statement and a transaction of its own, without BEGIN and COMMIT. So the counters, for which submissions
contend, stay locked while the database works, and not while this process does. Each counter is changed once, by the
sum of what the jobs of the group ask of it. If a counter cannot take its sum, no job gets a quote, which the schema
forbids, and PostgreSQL undoes all of it.

The counters come as one text, in the order of their names: so all transactions lock counters in the same order, and
none waits for another that waits for it.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from services.orchestrator.domain.event import Admitted
from services.orchestrator.domain.limits.hold import CounterName, Hold
from services.orchestrator.domain.spec import to_json
from services.orchestrator.domain.turns import TenantShare
from services.orchestrator.ports.admissions import NewJob
from services.orchestrator.store import row_mapping, usage_warnings, webhook_outbox
from services.orchestrator.store.queue_entries import Queue

BOOK = (
    """
WITH patience AS MATERIALIZED (
    SELECT set_config('lock_timeout', coalesce(:patience, current_setting('lock_timeout')), true)
), asked AS (
    SELECT counter.* FROM patience, json_to_recordset(CAST(:counters AS json)) AS counter (
        place int, tenant text, subject text, measure text, period text, amount int8, most int8
    )
), taken AS (
    INSERT INTO counters AS counter (tenant, subject, measure, period, "limit", used, held, credit)
    SELECT tenant, subject, measure, period, most, 0, amount, greatest(0, amount - most) FROM asked
    -- A counter that does not exist yet has no credit. One with a credit exists, so its new row is never stored.
    WHERE most IS NULL OR amount <= most OR EXISTS (
        SELECT FROM counters AS old WHERE old.tenant = asked.tenant AND old.subject = asked.subject
            AND old.measure = asked.measure AND old.period = asked.period AND old.credit > 0
    )
    ORDER BY place
    ON CONFLICT (tenant, subject, measure, period) DO UPDATE SET
        "limit" = CASE WHEN excluded."limit" IS NOT NULL THEN  -- more may be used already: then only 0 is admitted
            greatest(excluded."limit", counter.used + counter.held + excluded.held - counter.credit) END,
        held = counter.held + excluded.held
    WHERE excluded."limit" IS NULL OR excluded.held = 0
        OR counter.used + counter.held + excluded.held <= excluded."limit" + counter.credit
    RETURNING id, tenant, subject, measure, period, used + held AS counted, "limit" + credit AS most
), warned AS ("""
    + usage_warnings.RAISE
    + """), booked AS (
    SELECT array_agg(taken.id ORDER BY place) AS ids
    FROM asked LEFT JOIN taken USING (tenant, subject, measure, period)
), new AS MATERIALIZED (
    SELECT job.*, ids FROM booked, json_to_recordset(CAST(:jobs AS json)) AS job (
        id text, tenant text, "user" text, key text, request_id text, fingerprint text, backend text, share text,
        spec jsonb, model text, operation text, quote int8, price int8, capability text, card_version text,
        quote_id text, resumes text, call text, written jsonb, now timestamptz, expire timestamptz, trace_context text,
        admitted jsonb, places int[], measures text[], amounts int8[]
    )
), admitted AS (
    INSERT INTO jobs (id, tenant, "user", key, request_id, fingerprint, backend, spec, quote_micros, price_micros,
                      capability, card_version, quote_id, resumes, call, written, state, stage, progress, attempt,
                      last_sequence, create_time, expire_time, trace_context)
    SELECT id, tenant, "user", key, request_id, fingerprint, backend, spec,
           CASE WHEN array_position(ids, NULL) IS NULL THEN quote END, price, capability, card_version, quote_id,
           resumes, call, written, 'queued', 'queued', 0, 0, 1, now, expire, trace_context
    FROM new
    RETURNING id
), set_aside AS (
    INSERT INTO holds (job_id, counters, measures, amounts)
    SELECT id, ARRAY(SELECT ids[place] FROM unnest(places) AS place), measures, amounts FROM new
), event AS (
    INSERT INTO job_events (job_id, sequence, time, kind, body, terminal)
    SELECT id, 1, now, 'Admitted', admitted, false FROM new
), outbox AS ("""
    + webhook_outbox.OF_ADMISSION
    + """), entered AS (
    INSERT INTO ledger_entries (reference, kind, tenant, "user", key, model, operation, capability, card_version,
                                quote_id, reserved_micros, spent_micros, period_time, time)
    SELECT id, 'reserve', tenant, "user", key, model, operation, capability, card_version, quote_id, quote, 0, now, now
    FROM new
)
SELECT dbos.enqueue_workflow(
    workflow_name => :workflow, queue_name => backend, positional_args => ARRAY[to_json(id)], workflow_id => id,
    app_version => :version, queue_partition_key => share, application_name => :application
) FROM admitted JOIN new USING (id)
"""
)

# In the placeholder style of the driver, without comments and needless spaces: the driver parses a statement of more
# than 4,096 characters again at each call.
_SHORT = re.sub(r"\s*([(),])\s*", r"\1", re.sub(r"--.*", "", BOOK))
STATEMENT = re.sub(r"\s+", " ", re.sub(r"(?<!:):(\w+)", r"%(\1)s", _SHORT)).strip()


_Counter = tuple[str, CounterName]
"""A tenant, and the name of one of its counters."""


@dataclass(frozen=True, slots=True)
class Booking:
    """A job that is to be booked."""

    new: NewJob
    holds: Sequence[Hold]
    """In the order of their counters' names."""
    share: TenantShare


async def book(
    connection: psycopg.AsyncConnection[Any], queue: Queue, group: Sequence[Booking], *, patience_ms: int | None = None
) -> bool:
    """Books, stores and queues jobs. Returns False, with nothing done, when a counter cannot take what they ask.

    `patience_ms`: how long it waits for a row that another transaction has locked; None: as the server is configured.

    The connection commits by itself, or with the transaction that it is in. Raises psycopg.IntegrityError when a
    request_id is taken, and psycopg.errors.LockNotAvailable.
    """
    # By the driver itself: for so many parameters SQLAlchemy would need as much processor time again.
    try:
        await connection.execute(STATEMENT, values(queue, group, patience_ms))
    except psycopg.errors.NotNullViolation as error:
        if error.diag.column_name != "quote_micros":
            raise
        return False
    return True


def values(queue: Queue, group: Sequence[Booking], patience_ms: int | None = None) -> dict[str, Any]:
    """Returns the statement's parameters for a group of jobs."""
    sums: dict[_Counter, int] = {}
    limits: dict[_Counter, int | None] = {}
    for each in group:
        tenant = each.new.job.tenant
        for counter, amount, most in ((hold.counter, hold.amount, hold.most) for hold in each.holds):
            name = tenant, counter
            if name not in sums:
                sums[name], limits[name] = amount, most
                continue
            sums[name] += amount
            if most != limits[name]:  # the plan has just changed: what fits the lower limit fits both
                limits[name] = min(each for each in (most, limits[name]) if each is not None)
    places = {name: number for number, name in enumerate(sorted(sums), 1)}
    return {
        "workflow": queue.workflow,
        "application": queue.application,
        "version": queue.version,
        "patience": None if patience_ms is None else str(patience_ms),
        "now": max(each.new.job.create_time for each in group),
        "counters": json.dumps(
            [_counter_json(place, name, sums[name], limits[name]) for name, place in places.items()]
        ),
        "jobs": json.dumps([_job_json(each, places) for each in group]),
    }


def _counter_json(place: int, name: _Counter, amount: int, most: int | None) -> dict[str, Any]:
    tenant, (subject, measure, period) = name
    return {
        "place": place,
        "tenant": tenant,
        "subject": subject,
        "measure": measure,
        "period": period,
        "amount": amount,
        "most": most,
    }


def _job_json(booking: Booking, places: Mapping[_Counter, int]) -> dict[str, Any]:
    job, holds = booking.new.job, booking.holds
    return {
        "id": job.id,
        "tenant": job.tenant,
        "share": booking.share.key,
        "user": job.user,
        "key": job.key,
        "request_id": job.request_id,
        "fingerprint": booking.new.fingerprint,
        "backend": booking.new.backend,
        "spec": to_json(job.spec),
        "model": job.spec.model,
        "operation": job.spec.operation.kind,
        "capability": job.capability,
        "quote": job.quote_micros,
        "price": job.price_micros,
        "card_version": job.card_version,
        "quote_id": job.quote_id,
        "resumes": job.resumes or None,
        "call": job.call.value,
        "written": row_mapping.body_json(job.written) if job.written else None,
        "now": job.create_time.isoformat(),
        "expire": job.expire_time.isoformat(),
        "trace_context": job.trace_context or None,
        "admitted": row_mapping.body_json(Admitted(job.quote_micros)),
        "places": [places[job.tenant, hold.counter] for hold in holds],
        "measures": [hold.counter.measure for hold in holds],
        "amounts": [hold.amount for hold in holds],
    }
