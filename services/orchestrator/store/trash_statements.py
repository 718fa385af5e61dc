"""What the trash changes in a transaction: entries, the assets of these, and their fragments.

Each first locks the asset's row, as an upload of the same bytes does, so that none waits for another in a circle.
"""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.domain.library_entry import EntryKey
from services.orchestrator.store.webhook_outbox import RETURNED, of_asset

KEY = 'tenant = :tenant AND "user" = :user AND sha256 = :sha256'

LOCK_ASSET = sa.text(f"SELECT FROM assets WHERE {KEY} FOR UPDATE")

TRASH = sa.text(f"""
WITH entry AS (
    UPDATE library_entries SET delete_time = :now, update_time = :now, revision = revision + 1
    WHERE {KEY} AND delete_time IS NULL {RETURNED}
), outbox AS ({of_asset("asset.deleted", "'permanent', false")})
SELECT 1 FROM entry
""")
RESTORE = sa.text(f"""
WITH entry AS (
    UPDATE library_entries SET delete_time = NULL, update_time = :now, revision = revision + 1
    WHERE {KEY} AND delete_time IS NOT NULL {RETURNED}
), outbox AS ({of_asset("asset.created", "'cause', 'restored'")})
SELECT 1 FROM entry
""")

# The fragments of every job of the user that made this video.
FRAGMENTS = """
fragments AS MATERIALIZED (
    SELECT DISTINCT body ->> 'asset' AS sha256 FROM jobs JOIN job_events ON job_id = jobs.id AND kind = 'FragmentReady'
    WHERE jobs.tenant = :tenant AND jobs."user" = :user AND jobs.output ->> 'asset' = :sha256
)
"""
HAS_ENTRY = """
EXISTS (
    SELECT FROM library_entries AS entry WHERE entry.tenant = assets.tenant AND entry."user" = assets."user"
        AND entry.sha256 = assets.sha256{condition}
)
"""
# A fragment belongs to another job too: one without a video, or with a video that is not in the trash.
OF_ANOTHER_JOB = """
EXISTS (
    SELECT FROM job_events AS event JOIN jobs ON jobs.id = event.job_id
    WHERE event.body ->> 'asset' = assets.sha256 AND event.kind = 'FragmentReady'
        AND jobs.tenant = assets.tenant AND jobs."user" = assets."user"
        AND (jobs.output ->> 'asset' = :sha256) IS NOT TRUE
        AND (jobs.output IS NULL OR EXISTS (
            SELECT FROM library_entries AS video WHERE video.tenant = jobs.tenant AND video."user" = jobs."user"
                AND video.sha256 = jobs.output ->> 'asset' AND video.delete_time IS NULL
        ))
)
"""
OWN = """
assets.tenant = :tenant AND assets."user" = :user
    AND (assets.sha256 = :sha256 OR assets.sha256 IN (SELECT sha256 FROM fragments))
"""
LIVE = HAS_ENTRY.format(condition=" AND entry.delete_time IS NULL")
HIDE = sa.text(f"""
WITH {FRAGMENTS}
UPDATE assets SET hidden = true WHERE {OWN} AND NOT hidden AND NOT {LIVE} AND NOT {OF_ANOTHER_JOB}
""")
SHOW = sa.text(f"WITH {FRAGMENTS} UPDATE assets SET hidden = false WHERE {OWN} AND hidden")


async def lock(connection: AsyncConnection, key: EntryKey) -> None:
    """Holds off everything else that changes this asset, until the transaction ends."""
    await connection.execute(LOCK_ASSET, values(key))


async def trash(connection: AsyncConnection, key: EntryKey, now: datetime) -> bool:
    """Moves an entry to the trash, and hides its asset and fragments. Returns False if it was not live."""
    if (await connection.execute(TRASH, values(key) | {"now": now})).one_or_none() is None:
        return False
    await connection.execute(HIDE, values(key))
    return True


async def restore(connection: AsyncConnection, key: EntryKey, now: datetime) -> None:
    """Brings an entry back from the trash, if it is there, with its asset and fragments."""
    if (await connection.execute(RESTORE, values(key) | {"now": now})).one_or_none() is not None:
        await connection.execute(SHOW, values(key))


def values(key: EntryKey) -> dict[str, str]:
    """Returns the parameters of a key."""
    return {"tenant": key.tenant, "user": key.user, "sha256": key.sha256}
