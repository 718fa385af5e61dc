"""PostgresReadCounters: adds to the counts of reads of entries and shares, of many in one statement."""

from collections.abc import Mapping

import sqlalchemy as sa

from services.orchestrator.domain.library_entry import EntryKey
from services.orchestrator.ports.read_counts import Reads
from services.orchestrator.store.database import Database

# The rows are locked in the order of their keys, so that two processes do not wait for each other in a circle.
ADD = sa.text("""
WITH entry_reads AS (
    SELECT entry.id, reads.downloads, reads.time
    FROM unnest(CAST(:tenants AS text[]), CAST(:users AS text[]), CAST(:digests AS text[]),
        CAST(:entry_downloads AS bigint[]), CAST(:entry_times AS timestamptz[]))
        AS reads (tenant, "user", sha256, downloads, time)
    JOIN library_entries AS entry USING (tenant, "user", sha256)
    ORDER BY entry.id FOR NO KEY UPDATE OF entry
), entries AS (
    UPDATE library_entries AS entry SET downloads = entry.downloads + entry_reads.downloads,
        access_time = greatest(entry.access_time, entry_reads.time)
    FROM entry_reads WHERE entry.id = entry_reads.id
), share_reads AS (
    SELECT share.number, reads.downloads, reads.views, reads.time
    FROM unnest(CAST(:numbers AS bigint[]), CAST(:share_downloads AS bigint[]), CAST(:views AS bigint[]),
        CAST(:share_times AS timestamptz[])) AS reads (number, downloads, views, time)
    JOIN shares AS share USING (number)
    ORDER BY share.number FOR NO KEY UPDATE OF share
)
UPDATE shares AS share SET views = share.views + share_reads.views,
    downloads = share.downloads + share_reads.downloads,
    view_time = CASE WHEN share_reads.views > 0 THEN greatest(share.view_time, share_reads.time)
        ELSE share.view_time END,
    download_time = CASE WHEN share_reads.downloads > 0 THEN greatest(share.download_time, share_reads.time)
        ELSE share.download_time END
FROM share_reads WHERE share.number = share_reads.number
""")


class PostgresReadCounters:
    """The counts of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, entries: Mapping[EntryKey, Reads], shares: Mapping[int, Reads]) -> None:
        """Adds to the counts. What was deleted meanwhile is left out. Raises Unavailable."""
        given = {
            "tenants": [key.tenant for key in entries],
            "users": [key.user for key in entries],
            "digests": [key.sha256 for key in entries],
            "entry_downloads": [reads.downloads for reads in entries.values()],
            "entry_times": [reads.time for reads in entries.values()],
            "numbers": list(shares),
            "share_downloads": [reads.downloads for reads in shares.values()],
            "views": [reads.views for reads in shares.values()],
            "share_times": [reads.time for reads in shares.values()],
        }
        async with self._database.reading() as connection:
            await connection.execute(ADD, given)
