"""Queue entries: how a job's workflow is found, and put into the queue again.

An entry is made by DBOS's own SQL function, part of its public interface, in the transaction of what it belongs to.
A worker's entries are requeued by a statement on DBOS's table: DBOS's own functions take one entry at a time, and do
not check whether another worker has it meanwhile.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Set
from dataclasses import asdict, dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.domain.job import Job
from services.orchestrator.store.notification_listener import ENTRIES
from services.orchestrator.store.queue_notifier import NOTIFY


@dataclass(frozen=True, slots=True)
class Queue:
    """Where the workflow that runs a job is found: DBOS's names.

    Each tenant is a partition of a backend's queue; its key is that of `domain.turns.TenantShare`.
    """

    workflow: str
    application: str
    version: str


# The priority and the weight stay those of the admission, whose entry has the id of the job.
ENQUEUE = sa.text("""
SELECT dbos.enqueue_workflow(
    workflow_name => :workflow, queue_name => backend, positional_args => ARRAY[to_json(id)], workflow_id => :entry,
    app_version => :version, queue_partition_key => coalesce(
        (SELECT queue_partition_key FROM dbos.workflow_status WHERE workflow_uuid = jobs.id), tenant
    ), application_name => :application, delay_until_epoch_ms => CAST(:until_ms AS bigint)
) FROM jobs WHERE id = :id
""")


async def enqueue(connection: AsyncConnection, queue: Queue, job: Job, until: datetime | None = None) -> None:
    """Puts a job onto its queue by the entry that it names now; not before `until`, and in no slot meanwhile."""
    until_ms = None if until is None else int(until.timestamp() * 1000)
    await connection.execute(ENQUEUE, asdict(queue) | {"id": job.id, "entry": job.workflow, "until_ms": until_ms})


# The place in the queue is the time of creation, which does not change. Without its token (owner_xid) a run that still
# continues cannot end the entry. An entry that another transaction has locked is just being claimed, ended or requeued.
PUT_BACK = sa.text("""
UPDATE dbos.workflow_status SET status = 'ENQUEUED', owner_xid = NULL, started_at_epoch_ms = NULL,
    updated_at = CAST(extract(epoch FROM now()) * 1000 AS bigint)
FROM (
    SELECT workflow_uuid AS entry, executor_id AS executor FROM dbos.workflow_status
    WHERE status = 'PENDING' AND executor_id = ANY(:executors) AND name = :workflow
        AND (CAST(:entries AS text[]) IS NULL OR workflow_uuid = ANY(CAST(:entries AS text[])))
    FOR UPDATE SKIP LOCKED
) AS taken
WHERE workflow_uuid = taken.entry RETURNING taken.executor, queue_name
""")


HAS = sa.text("""
SELECT EXISTS (
    SELECT FROM dbos.workflow_status WHERE workflow_uuid = :entry AND status = 'PENDING' AND executor_id = :executor
)
""")


async def has(connection: AsyncConnection, executor: str, entry: str) -> bool:
    """Whether an executor has taken an entry, and it was not requeued since."""
    return bool((await connection.execute(HAS, {"executor": executor, "entry": entry})).scalar_one())


TAKEN = sa.text("""
SELECT workflow_uuid FROM dbos.workflow_status WHERE status = 'PENDING' AND executor_id = :executor AND name = :workflow
""")


async def taken(connection: AsyncConnection, queue: Queue, executor: str) -> Set[str]:
    """Returns the entries that an executor has taken and that have not ended."""
    given = {"executor": executor, "workflow": queue.workflow}
    return set((await connection.execute(TAKEN, given)).scalars())


async def put_back(
    connection: AsyncConnection, queue: Queue, executors: Collection[str], entries: Collection[str] | None = None
) -> Mapping[str, int]:
    """Requeues the entries that executors have taken, or only those of `entries`, in their old places.

    The commit wakes the workers of their queues. Returns the number of entries, by executor.
    """
    given = {"executors": list(executors), "workflow": queue.workflow}
    which = {"entries": None if entries is None else list(entries)}
    rows = (await connection.execute(PUT_BACK, given | which)).all()
    if rows:
        await connection.execute(NOTIFY, {"channel": ENTRIES, "backends": sorted({row.queue_name for row in rows})})
    return Counter(row.executor for row in rows)
