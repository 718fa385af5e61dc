"""The deletion of an asset for good, in a transaction: its entry, its rows, what they count, a note of its bytes."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.domain.library_entry import EntryKey
from services.orchestrator.store import stored_bytes
from services.orchestrator.store.trash_statements import FRAGMENTS, HAS_ENTRY, HIDE, KEY, OF_ANOTHER_JOB, OWN, values
from services.orchestrator.store.webhook_outbox import RETURNED, of_asset

# The inputs of a job that has not ended.
IN_USE = """
EXISTS (
    SELECT FROM jobs WHERE jobs.tenant = :tenant AND jobs."user" = :user
        AND jobs.state IN ('queued', 'running', 'cancelling', 'reconciling')
        AND {sha256} IN (jobs.spec #>> '{{operation,image}}', jobs.spec #>> '{{operation,audio}}',
            jobs.spec #>> '{{operation,mask}}')
)
"""
USED = sa.text(f"SELECT {IN_USE.format(sha256=':sha256')}")
DELETE_ENTRY = sa.text(f"""
WITH entry AS (DELETE FROM library_entries WHERE {KEY} {RETURNED})
{of_asset("asset.deleted", "'permanent', true")}
""")
# A fragment that another job in the trash needs is deleted with the video of that one.
DELETE_ASSETS = sa.text(f"""
WITH {FRAGMENTS}, deleted AS (
    DELETE FROM assets WHERE {OWN} AND NOT {HAS_ENTRY.format(condition="")} AND NOT {OF_ANOTHER_JOB} AND NOT EXISTS (
        SELECT FROM job_events AS event JOIN jobs ON jobs.id = event.job_id
        WHERE event.body ->> 'asset' = assets.sha256 AND event.kind = 'FragmentReady'
            AND jobs.tenant = assets.tenant AND jobs."user" = assets."user"
            AND EXISTS (
                SELECT FROM library_entries AS video WHERE video.tenant = jobs.tenant AND video."user" = jobs."user"
                    AND video.sha256 = jobs.output ->> 'asset'
            )
    ) RETURNING sha256, size_bytes
), queued AS (
    INSERT INTO blob_removals (tenant, sha256, since)
    SELECT CAST(:tenant AS text), sha256, CAST(:now AS timestamptz) FROM deleted ORDER BY sha256
    ON CONFLICT (tenant, sha256) DO UPDATE SET since = excluded.since WHERE NOT blob_removals.removing
)
SELECT coalesce(sum(size_bytes), 0) FROM deleted
""")


async def in_use(connection: AsyncConnection, key: EntryKey) -> bool:
    """Returns whether an unfinished job has the asset as its input."""
    return bool((await connection.execute(USED, values(key))).scalar_one())


async def purge(connection: AsyncConnection, key: EntryKey, now: datetime) -> int:
    """Deletes an entry with its asset and fragments, and queues the bytes for removal. Returns their size.

    What another job or entry needs stays.
    """
    await connection.execute(DELETE_ENTRY, values(key) | {"now": now})
    await connection.execute(HIDE, values(key))  # what stays for an entry that is in the trash
    size_bytes = int((await connection.execute(DELETE_ASSETS, values(key) | {"now": now})).scalar_one())
    if size_bytes:
        await stored_bytes.forget(connection, key.tenant, key.user, size_bytes)
    return size_bytes
