"""PostgresTrash: deletions and restores of a user, and what is in the user's trash."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.errors import Conflict, NotFound, PreconditionFailed
from services.orchestrator.domain.library_entry import EntryKey, LibraryEntry
from services.orchestrator.ports.trash import Item
from services.orchestrator.store import purge, trash_statements
from services.orchestrator.store.database import Database
from services.orchestrator.store.library import entry
from services.orchestrator.store.schema import library_entries
from services.reasons import LibraryReason

# A share of the tenant's row, for which a new legal hold waits.
HELD = sa.text("SELECT legal_hold FROM tenants WHERE id = :tenant FOR SHARE")
ITEMS = sa.text(f"""
SELECT tenant, "user", sha256, size_bytes, {purge.IN_USE.format(sha256="library_entries.sha256")} AS used
FROM library_entries WHERE tenant = :tenant AND "user" = :user AND delete_time IS NOT NULL
ORDER BY used, id LIMIT :limit
""")


class PostgresTrash:
    """The trash of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, key: EntryKey, now: datetime, *, etag: str = "") -> LibraryEntry:
        """Moves an entry to the trash, if it is not there yet."""
        async with self._database.writing() as connection:
            await trash_statements.lock(connection, key)
            await _find(connection, key, etag)
            await trash_statements.trash(connection, key, now)
            return await _find(connection, key)

    async def restore(self, key: EntryKey, now: datetime) -> LibraryEntry:
        """Brings an entry back, if it is in the trash."""
        async with self._database.writing() as connection:
            await trash_statements.lock(connection, key)
            await trash_statements.restore(connection, key, now)
            return await _find(connection, key)

    async def purge(self, key: EntryKey, now: datetime, *, etag: str = "", in_trash_only: bool = False) -> int:
        """Deletes an entry for good, whether it is in the trash or not."""
        async with self._database.writing() as connection:
            found = await _find_for_good(connection, key, etag)
            if in_trash_only and found.delete_time is None:
                raise NotFound("asset", f"assets/{key.sha256}")
            return await purge.purge(connection, key, now)

    async def check(self, key: EntryKey, *, permanent: bool) -> None:
        """Raises what `put`, or `purge` with `permanent`, would raise now."""
        async with self._database.writing() as connection:
            await (_find_for_good(connection, key) if permanent else _find(connection, key))

    async def items(self, tenant: str, user: str, *, limit: int) -> list[Item]:
        """Returns what is in a user's trash, those first that no unfinished job uses."""
        given = {"tenant": tenant, "user": user, "limit": limit}
        async with self._database.reading() as connection:
            rows = await connection.execute(ITEMS, given)
            return [Item(EntryKey(row.tenant, row.user, row.sha256), row.used, row.size_bytes) for row in rows]


async def _find_for_good(connection: AsyncConnection, key: EntryKey, etag: str = "") -> LibraryEntry:
    """Returns an entry that may be deleted for good until the transaction ends. Raises NotFound, PreconditionFailed."""
    held = (await connection.execute(HELD, {"tenant": key.tenant})).scalar_one_or_none()
    await trash_statements.lock(connection, key)
    found = await _find(connection, key, etag)
    if held:
        what = "The tenant is under a legal hold: nothing of it is deleted for good."
        raise PreconditionFailed(what, reason=LibraryReason.ASSET_ON_HOLD)
    if await purge.in_use(connection, key):
        what = f"An unfinished job uses assets/{key.sha256}. Move it to the trash, or wait for the job's end."
        raise PreconditionFailed(what, reason=LibraryReason.ASSET_IN_USE)
    return found


async def _find(connection: AsyncConnection, key: EntryKey, etag: str = "") -> LibraryEntry:
    """Returns an entry. Raises NotFound, and Conflict if an etag is given that is not its own any more."""
    table = library_entries.c
    where = (table.tenant == key.tenant, table.user == key.user, table.sha256 == key.sha256)
    row = (await connection.execute(sa.select(library_entries).where(*where))).one_or_none()
    if row is None:
        raise NotFound("asset", f"assets/{key.sha256}")
    if etag and etag != str(row.revision):
        what = f"The entry has the etag {str(row.revision)!r} now: it was changed after {etag[:20]!r}. Read it again."
        raise Conflict(what, reason=LibraryReason.ETAG_OUTDATED)
    return entry(row)
