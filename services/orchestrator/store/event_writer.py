"""The only writer of a job's history: one event, the job after it, and what goes with it, in one transaction."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, get_args

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.errors import NotFound
from services.orchestrator.domain.asset import Asset
from services.orchestrator.domain.event import (
    CancelRequested,
    Event,
    FragmentReady,
    PromptWritten,
    Rerouted,
    Resumed,
    Retrying,
    Started,
    Succeeded,
    Terminal,
)
from services.orchestrator.domain.job_transitions import apply
from services.orchestrator.domain.manifest import Manifest
from services.orchestrator.domain.paid_call import Step
from services.orchestrator.domain.spec import to_json
from services.orchestrator.domain.webhook import OF_KIND
from services.orchestrator.ports.jobs import Decide, Recorded
from services.orchestrator.store import (
    library_entries,
    manifests,
    paid_call_steps,
    row_mapping,
    settlement,
    stored_bytes,
    webhook_outbox,
)
from services.orchestrator.store.notification_listener import CHANGES, STOPS
from services.orchestrator.store.queue_entries import Queue, enqueue
from services.orchestrator.store.schema import jobs

# Built once: building a statement, and finding its compiled form, takes as long as running it.
FOUND = sa.select(jobs).where(jobs.c.id == sa.bindparam("job_id")).with_for_update()

# One statement for the event, the job, the deliveries and the waking of those who wait: this runs for every fragment
# of every video.
_CHANGE = """
WITH event AS (
    INSERT INTO job_events (job_id, sequence, time, kind, body, terminal)
    VALUES (:id, :last_sequence, :now, :kind, CAST(:body AS jsonb), :terminal)
), changed AS (
    UPDATE jobs SET state = :state, stopping = :stopping, stage = :stage, progress = :progress, attempt = :attempt,
        call = :call, workflow = :workflow, expire_time = :expire_time, last_sequence = :last_sequence,
        charged_micros = :charged_micros, output = CAST(:output AS jsonb), error = CAST(:error AS jsonb),
        start_time = :start_time, end_time = :end_time
    WHERE id = :id
)"""
_WAKE = """
SELECT pg_notify(:changes, :id), CASE WHEN CAST(:stops AS text) IS NOT NULL THEN pg_notify(:stops, :id) END
"""
WRITE = sa.text(f"{_CHANGE}, outbox AS ({webhook_outbox.OF_EVENT}){_WAKE}")
WRITE_FOR_WATCHERS = sa.text(f"{_CHANGE}{_WAKE}")
"""The same for events that no endpoint of webhooks can ask for, such as progress: most of them."""


@dataclass(frozen=True, slots=True)
class Written:
    """What the transaction has written."""

    recorded: Recorded
    backend: str = ""
    """The backend onto whose queue the job was put, ready to run; empty: none."""


async def record(
    connection: AsyncConnection,
    queue: Queue,
    job_id: str,
    decide: Decide,
    assets: Sequence[Asset],
    step: Step | None,
    now: datetime,
    manifest: Manifest | None = None,
) -> Written:
    """Writes what `decide` chooses; the caller commits, if that was not done with the last statement.

    Raises NotFound, and what `decide` raises.
    """
    found = (await connection.execute(FOUND, {"job_id": job_id})).one_or_none()
    if found is None:
        raise NotFound("job", f"jobs/{job_id}")
    job = row_mapping.job(found)
    body = decide(job)
    if body is None:
        return Written(Recorded(job, None, job))
    event = Event(job.last_sequence + 1, now, body)
    after = apply(job, event)
    terminal = isinstance(body, get_args(Terminal))
    columns: dict[str, Any] = row_mapping.changing(after)
    columns["output"] = json.dumps(columns["output"]) if after.output else None
    columns["error"] = json.dumps(columns["error"]) if after.error else None
    event_type = OF_KIND.get(type(body))
    await connection.execute(
        WRITE if event_type else WRITE_FOR_WATCHERS,
        {
            **columns,
            "id": job.id,
            "tenant": job.tenant,
            "user": job.user,
            "event_type": event_type,
            "now": now,
            "kind": type(body).__name__,
            "body": json.dumps(row_mapping.body_json(body)),
            "terminal": terminal,
            "changes": CHANGES,
            # An attempt listens on this one alone, so that its own fragments do not wake it.
            "stops": STOPS if terminal or isinstance(body, CancelRequested | Started) else None,
        },
    )
    if isinstance(body, PromptWritten):  # too rare to be in the statement that every fragment runs
        written = json.dumps(row_mapping.body_json(body))
        await connection.execute(
            sa.text("UPDATE jobs SET written = CAST(:written AS jsonb) WHERE id = :id"),
            {"written": written, "id": job.id},
        )
    if isinstance(body, Rerouted):
        await connection.execute(
            sa.text(
                "UPDATE jobs SET spec = CAST(:spec AS jsonb), backend = :backend, price_micros = :price,"
                " tried = CAST(:tried AS jsonb) WHERE id = :id"
            ),
            {
                "spec": json.dumps(to_json(after.spec)),
                "backend": body.backend,
                "price": after.price_micros,
                "tried": json.dumps(after.tried),
                "id": job.id,
            },
        )
        # Money is reserved for the model that has the job now, so nothing stays reserved for the one before.
        await connection.execute(
            sa.text("UPDATE ledger_entries SET model = :model WHERE reference = :id AND kind = 'reserve'"),
            {"model": body.model, "id": job.id},
        )
    await paid_call_steps.write(connection, job, body, step, now)
    if isinstance(body, Started) and body.attempt == 1:
        await settlement.start(connection, job.id)
    if isinstance(body, FragmentReady) and len(assets) == 1 and manifest is None:
        await stored_bytes.note_and_commit(connection, assets[0])
        return Written(Recorded(job, event, after))
    for asset in assets:  # late: the counters of stored bytes stay locked until the commit
        await stored_bytes.note(connection, asset)
    if manifest is not None:
        await manifests.write(connection, after, manifest, now)
    if terminal:
        await settlement.settle(connection, after, now)
    if isinstance(body, Succeeded):
        await library_entries.of_job(connection, after)
    recorded = Recorded(job, event, after)
    match body:
        case Rerouted(backend=backend):
            await enqueue(connection, queue, after)
            return Written(recorded, backend)
        case Resumed():
            await enqueue(connection, queue, after)
            return Written(recorded, found.backend)
        case Retrying(requeued=True, retry_time=until):
            await enqueue(connection, queue, after, until)
    return Written(recorded)
