"""What a share shows now: each statement checks all of it again, so a revocation or deletion holds at once."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.domain.share import Share
from services.orchestrator.domain.shared import SharedAsset, SharedPage, SharedPlace
from services.orchestrator.store import row_mapping

OPEN = """
open AS MATERIALIZED (
    SELECT shares.* FROM shares JOIN tenants ON tenants.id = shares.tenant AND tenants.state = 'active'
    WHERE number = :number AND revoke_time IS NULL AND expire_time > :now
)
"""
MEMBERS = f"""
{OPEN}, members AS (
    SELECT entry, create_time AS add_time FROM open WHERE entry IS NOT NULL
    UNION ALL
    SELECT member.entry, member.add_time FROM open JOIN collection_members AS member USING (collection)
)
"""
# OFFSET 0, here and below: each member looks up its entry. Without it the planner may read the entries of all users.
HEAD = sa.text(f"""
WITH {MEMBERS}, live AS (
    SELECT entry.title FROM members CROSS JOIN LATERAL (
        SELECT title FROM library_entries WHERE id = members.entry AND delete_time IS NULL OFFSET 0
    ) AS entry
)
SELECT coalesce(collections.title, (SELECT title FROM live LIMIT 1), '') AS title, (SELECT count(*) FROM live) AS assets
FROM open LEFT JOIN collections ON collections.number = open.collection
""")
# Sorted first, so that only the members of this page look up their entries and assets.
PAGE = sa.text(f"""
WITH {MEMBERS}
SELECT member.add_time, member.entry AS entry_id, shown.* FROM (
    SELECT * FROM members WHERE CAST(:entry AS bigint) IS NULL OR (add_time, entry) < (:add_time, :entry)
    ORDER BY add_time DESC, entry DESC OFFSET 0
) AS member CROSS JOIN LATERAL (
    SELECT entry.title AS entry_title, assets.* FROM library_entries AS entry
    JOIN assets USING (tenant, "user", sha256)
    WHERE entry.id = member.entry AND entry.delete_time IS NULL AND NOT assets.hidden OFFSET 0
) AS shown
ORDER BY member.add_time DESC, member.entry DESC LIMIT :limit
""")
# By the digest, so that a file of a long collection costs no more than one of a short one.
ONE = sa.text(f"""
WITH {OPEN}
SELECT coalesce(member.add_time, open.create_time) AS add_time, entry.id AS entry_id, entry.title AS entry_title,
    assets.*
FROM open JOIN library_entries AS entry USING (tenant, "user") JOIN assets USING (tenant, "user", sha256)
LEFT JOIN collection_members AS member ON member.collection = open.collection AND member.entry = entry.id
WHERE sha256 = :sha256 AND entry.delete_time IS NULL AND NOT assets.hidden
    AND (entry.id = open.entry OR member.entry IS NOT NULL)
""")


async def page(
    connection: AsyncConnection, share: Share, now: datetime, after: SharedPlace | None, limit: int
) -> SharedPage | None:
    """Returns what a share shows; None if it shows nothing any more. An empty collection is shown."""
    given = {"number": share.number, "now": now}
    head = (await connection.execute(HEAD, given)).one_or_none()
    if head is None or (share.asset and not head.assets):
        return None
    place = {"entry": after.entry if after else None, "add_time": after.add_time if after else now, "limit": limit}
    rows = await connection.execute(PAGE, given | place)
    return SharedPage(head.title, head.assets, tuple(map(_asset, rows)))


async def one(connection: AsyncConnection, share: Share, sha256: str, now: datetime) -> SharedAsset | None:
    """Returns an asset that a share shows."""
    given = {"number": share.number, "now": now, "sha256": sha256}
    row = (await connection.execute(ONE, given)).one_or_none()
    return _asset(row) if row else None


def _asset(row: Row[Any]) -> SharedAsset:
    return SharedAsset(row_mapping.asset(row), row.entry_title, SharedPlace(row.add_time, row.entry_id))
