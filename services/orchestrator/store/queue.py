"""Queue entries: how a job's workflow is found, and put into the queue again.

An entry is made by DBOS's own SQL function, part of its public interface, in the transaction of what it belongs to.
"""

from dataclasses import asdict, dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.domain.job import Job


@dataclass(frozen=True, slots=True)
class Queue:
    """Where the workflow that runs a job is found: DBOS's names. Each tenant is a partition of a backend's queue."""

    workflow: str
    application: str
    version: str


ENQUEUE = sa.text("""
SELECT dbos.enqueue_workflow(
    workflow_name => :workflow, queue_name => backend, positional_args => ARRAY[to_json(id)], workflow_id => :entry,
    app_version => :version, queue_partition_key => tenant, application_name => :application,
    delay_until_epoch_ms => CAST(:until_ms AS bigint)
) FROM jobs WHERE id = :id
""")


async def enqueue(connection: AsyncConnection, queue: Queue, job: Job, until: datetime | None = None) -> None:
    """Puts a job onto its queue by the entry that it names now; not before `until`, and in no slot meanwhile."""
    until_ms = None if until is None else int(until.timestamp() * 1000)
    await connection.execute(ENQUEUE, asdict(queue) | {"id": job.id, "entry": job.workflow, "until_ms": until_ms})
