"""PostgresBlobRemovals: the bytes that are to be removed.

A removal begins and ends in a transaction each. Between them the row says `removing`, and the trigger `keep_bytes`
refuses assets with the same bytes.
"""

from datetime import datetime

import sqlalchemy as sa

from services.errors import Unavailable
from services.orchestrator.domain.retention import Due
from services.orchestrator.ports.blob_removals import Note, Unneeded
from services.orchestrator.store.database import Database
from services.orchestrator.store.library_schema import blob_removals
from services.reasons import LibraryReason

RETRY_S = 1.0

# Without a row, which is the rule, nothing is written.
KEEP = sa.text("UPDATE blob_removals SET since = :now WHERE tenant = :tenant AND sha256 = :sha256 RETURNING removing")
NOTE = sa.text("""
INSERT INTO blob_removals AS known (tenant, sha256, since) VALUES (:tenant, :sha256, :now)
ON CONFLICT (tenant, sha256) DO UPDATE SET since = CASE WHEN known.removing THEN known.since ELSE excluded.since END
RETURNING removing, xmax = 0 AS new
""")
FORGET_NOTE = sa.text(
    "DELETE FROM blob_removals WHERE tenant = :tenant AND sha256 = :sha256 AND since = :now AND NOT removing"
)
HELD = "tenant IN (SELECT id FROM tenants WHERE legal_hold)"
NEEDED = """
EXISTS (
    SELECT FROM assets WHERE assets.tenant = blob_removals.tenant AND assets.sha256 = blob_removals.sha256
)
"""
DUE = sa.text(f"SELECT count(*), min(since) FROM blob_removals WHERE since < :before AND NOT {HELD}")
FORGET = sa.text(f"DELETE FROM blob_removals WHERE since < :before AND NOT removing AND {NEEDED}")
# The condition is checked again under the row's lock: an asset that was stored meanwhile has taken the row away.
BEGIN = sa.text(f"""
UPDATE blob_removals SET removing = true
WHERE (tenant, sha256) IN (
    SELECT tenant, sha256 FROM blob_removals
    WHERE since < :before AND NOT removing AND NOT {NEEDED} AND NOT {HELD}
    ORDER BY since LIMIT :limit
) AND since < :before AND NOT {NEEDED}
""")
BEGUN = sa.select(blob_removals.c.tenant, blob_removals.c.sha256).where(blob_removals.c.removing)


class PostgresBlobRemovals:
    """The removals of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def keep(self, tenant: str, sha256: str, now: datetime) -> None:
        """Keeps bytes that are about to be stored. Raises Unavailable while they are being removed."""
        given = {"tenant": tenant, "sha256": sha256, "now": now}
        async with self._database.reading() as connection:
            removing = (await connection.execute(KEEP, given)).scalar_one_or_none()
        if removing:
            what = "The same bytes were deleted and are just being removed. Try again."
            raise Unavailable(what, reason=LibraryReason.BYTES_BEING_REMOVED, retry_after_s=RETRY_S)

    async def begin_copy(self, tenant: str, sha256: str, now: datetime) -> Note:
        """Notes bytes that are about to be copied. Returns what was known of them."""
        async with self._database.reading() as connection:
            row = (await connection.execute(NOTE, {"tenant": tenant, "sha256": sha256, "now": now})).one()
        return Note.REMOVING if row.removing else Note.NEW if row.new else Note.KNOWN

    async def end_copy(self, tenant: str, sha256: str, now: datetime) -> None:
        """Takes the note of this time back, unless there is a later one."""
        async with self._database.reading() as connection:
            await connection.execute(FORGET_NOTE, {"tenant": tenant, "sha256": sha256, "now": now})

    async def due(self, before: datetime) -> Due:
        """Returns which bytes have not been needed since before this time."""
        async with self._database.reading() as connection:
            return Due(*(await connection.execute(DUE, {"before": before})).one())

    async def begin(self, before: datetime, *, limit: int) -> list[Unneeded]:
        """Begins some removals; returns also those that were interrupted."""
        async with self._database.reading() as connection:
            await connection.execute(FORGET, {"before": before})
            await connection.execute(BEGIN, {"before": before, "limit": limit})
            return [Unneeded(*row) for row in await connection.execute(BEGUN.limit(limit))]

    async def end(self, unneeded: Unneeded) -> None:
        """Ends a removal."""
        table = blob_removals.c
        ended = sa.delete(blob_removals).where(
            table.tenant == unneeded.tenant, table.sha256 == unneeded.sha256, table.removing
        )
        async with self._database.reading() as connection:
            await connection.execute(ended)
