"""Queue entries: how a job's workflow is found, and put into the queue again.

An entry is made by DBOS's own SQL function, part of its public interface, in the transaction of what it belongs to.
"""

from dataclasses import dataclass

import sqlalchemy as sa


@dataclass(frozen=True, slots=True)
class Queue:
    """Where the workflow that runs a job is found: DBOS's names. Each tenant is a partition of a backend's queue."""

    workflow: str
    application: str
    version: str


ENQUEUE = sa.text("""
SELECT dbos.enqueue_workflow(
    workflow_name => :workflow, queue_name => backend, positional_args => ARRAY[to_json(id)], workflow_id => :entry,
    app_version => :version, queue_partition_key => tenant, application_name => :application
) FROM jobs WHERE id = :id
""")
