"""How entries of the library begin: with an upload, and with the end of a job that has made a video."""

import json
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.domain.asset import Asset
from services.orchestrator.domain.job import Job
from services.orchestrator.domain.library_details import Details
from services.orchestrator.domain.library_entry import EntryKey, details_of, origin_of
from services.orchestrator.store import trash_statements
from services.orchestrator.store.webhook_outbox import RETURNED, of_asset

DETAILS = "title, description, tags, source_module, custom"
GIVEN = ":title, :description, CAST(:tags AS text[]), :source_module, CAST(:custom AS jsonb)"

OF_UPLOAD = f"""
INSERT INTO library_entries (tenant, "user", sha256, kind, size_bytes, duration_ms, {DETAILS}, phash, create_time,
    update_time)
SELECT :tenant, :user, :sha256, split_part(CAST(:media_type AS text), '/', 1), CAST(:size_bytes AS bigint),
    round(CAST(:duration_s AS double precision) * 1000), {GIVEN}, CAST(:phash AS bigint),
    CAST(:create_time AS timestamptz), CAST(:create_time AS timestamptz)
{RETURNED}
"""
"""Part of the statement that stores an upload."""

OF_JOB = sa.text(f"""
WITH entry AS (
INSERT INTO library_entries (tenant, "user", sha256, kind, size_bytes, duration_ms, {DETAILS}, job_id, operation, model,
    seed, prompt, cost_micros, parents, create_time, update_time)
SELECT tenant, "user", sha256, split_part(media_type, '/', 1), size_bytes, round(duration_s * 1000), {GIVEN}, :job_id,
    :operation, :model, :seed, :prompt, :cost_micros, CAST(:parents AS text[]), CAST(:now AS timestamptz),
    CAST(:now AS timestamptz)
FROM assets WHERE tenant = :tenant AND "user" = :user AND sha256 = :sha256
ON CONFLICT (tenant, "user", sha256) DO NOTHING
{RETURNED}
)
{of_asset("asset.created", "'cause', 'made'")}
""")

AGAIN = sa.text(f"""
WITH entry AS (
INSERT INTO library_entries (tenant, "user", sha256, kind, size_bytes, duration_ms, create_time, update_time)
SELECT tenant, "user", sha256, split_part(media_type, '/', 1), size_bytes, round(duration_s * 1000), :now, :now
FROM assets WHERE tenant = :tenant AND "user" = :user AND sha256 = :sha256
ON CONFLICT (tenant, "user", sha256) DO NOTHING
{RETURNED}
)
{of_asset("asset.created", "'cause', 'uploaded'")}
""")
"""Makes the entry of an upload whose bytes were there already, as a fragment."""


def details_columns(details: Details) -> dict[str, Any]:
    """Returns the columns of what people say of an asset."""
    return {
        "title": details.title,
        "description": details.description,
        "tags": list(details.tags),
        "source_module": details.source_module,
        "custom": json.dumps(dict(details.custom)),
    }


async def again(connection: AsyncConnection, asset: Asset) -> None:
    """Makes the entry of an upload whose bytes the user had already, unless there is one."""
    key = {"tenant": asset.tenant, "user": asset.user, "sha256": asset.sha256}
    await connection.execute(AGAIN, key | {"now": asset.create_time})


async def of_job(connection: AsyncConnection, job: Job) -> None:
    """Makes the entry of the video of a job that succeeds in this transaction."""
    assert job.output is not None, "a job that has succeeded has an output"
    origin = origin_of(job)
    await connection.execute(
        OF_JOB,
        {
            "tenant": job.tenant,
            "user": job.user,
            "sha256": job.output.asset,
            "job_id": origin.job_id,
            "operation": origin.operation,
            "model": origin.model,
            "seed": origin.seed,
            "prompt": origin.prompt,
            "cost_micros": origin.cost_micros,
            "parents": list(origin.parents),
            "now": job.end_time,
        }
        | details_columns(details_of(job)),
    )
    assert job.end_time is not None, "the job has ended"
    await trash_statements.restore(connection, EntryKey(job.tenant, job.user, job.output.asset), job.end_time)
