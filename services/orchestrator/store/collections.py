"""PostgresCollections: albums of the library."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from services.errors import Conflict, NotFound, PreconditionFailed, RequestIdReused
from services.orchestrator.domain.collection import (
    ASSETS_MOST,
    COLLECTIONS_MOST,
    Collection,
    CollectionChanges,
    CollectionKey,
)
from services.orchestrator.store.database import Database
from services.reasons import LibraryReason

OWN = 'collections.tenant = :tenant AND collections."user" = :user'
KEY = f"{OWN} AND collections.id = :id"
# OFFSET 0: each member looks up its entry. Without it the planner may read the entries of all users.
SHOWN = """
SELECT collections.*, live.assets, live.cover FROM collections CROSS JOIN LATERAL (
    SELECT count(*) AS assets,
        coalesce((array_agg(entry.sha256 ORDER BY member.cover DESC, member.add_time DESC, entry.id DESC))[1], '')
            AS cover
    FROM collection_members AS member CROSS JOIN LATERAL (
        SELECT id, sha256 FROM library_entries WHERE id = member.entry AND delete_time IS NULL OFFSET 0
    ) AS entry WHERE member.collection = collections.number
) AS live
"""
GET = sa.text(f"{SHOWN} WHERE {KEY}")
PAGE = sa.text(f"""
{SHOWN} WHERE {OWN} AND (CAST(:before AS bigint) IS NULL OR collections.number < :before)
ORDER BY collections.number DESC LIMIT :limit
""")
LOCK = sa.text(f"SELECT number, revision FROM collections WHERE {KEY} FOR NO KEY UPDATE")
LOCK_USER = sa.text("SELECT pg_advisory_xact_lock(hashtextextended(:tenant || '/' || :user || '/collections', 0))")
COUNT = sa.text(f"SELECT count(*) FROM collections WHERE {OWN}")
CREATE = sa.text("""
INSERT INTO collections (tenant, "user", id, title, description, create_time, update_time)
VALUES (:tenant, :user, :id, :title, :description, :now, :now)
""")
CHANGE = sa.text("""
UPDATE collections SET title = coalesce(CAST(:title AS text), title),
    description = coalesce(CAST(:description AS text), description), revision = revision + 1, update_time = :now
WHERE number = :number
""")
TOUCH = sa.text("UPDATE collections SET update_time = :now WHERE number = :number")
NO_COVER = sa.text("UPDATE collection_members SET cover = false WHERE collection = :number AND cover")
COVER = sa.text("""
UPDATE collection_members AS member SET cover = true FROM library_entries AS entry
WHERE member.collection = :number AND entry.id = member.entry AND entry.sha256 = :cover AND entry.delete_time IS NULL
""")
DELETE = sa.text("DELETE FROM collections WHERE number = :number")
# The lock keeps an entry from being deleted until its member is there.
FOUND = sa.text("""
SELECT id, sha256 FROM library_entries
WHERE tenant = :tenant AND "user" = :user AND sha256 = ANY(:assets) AND delete_time IS NULL
ORDER BY id FOR KEY SHARE
""")
ADD = sa.text("""
INSERT INTO collection_members (collection, entry, add_time)
SELECT :number, entry, :now FROM unnest(CAST(:entries AS bigint[])) AS entry ON CONFLICT DO NOTHING
""")
SIZE = sa.text("SELECT count(*) FROM collection_members WHERE collection = :number")
REMOVE = sa.text("""
DELETE FROM collection_members AS member USING library_entries AS entry
WHERE member.collection = :number AND entry.id = member.entry AND entry.sha256 = ANY(:assets)
""")


class PostgresCollections:
    """The collections of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, key: CollectionKey, title: str, description: str, now: datetime) -> Collection:
        """Makes an empty collection. Raises RequestIdReused, PreconditionFailed."""
        async with self._database.writing() as connection:
            await connection.execute(LOCK_USER, _values(key))
            found = await _find(connection, key)
            if found is not None:
                if (found.title, found.description) != (title, description):
                    raise RequestIdReused(metadata={"name": _name(key)})
                return found
            if int((await connection.execute(COUNT, _values(key))).scalar_one()) >= COLLECTIONS_MOST:
                raise PreconditionFailed(
                    f"You have {COLLECTIONS_MOST} collections, and no more are possible. Delete one.",
                    reason=LibraryReason.COLLECTIONS_TOO_MANY,
                    metadata={"limit": str(COLLECTIONS_MOST)},
                )
            given = {"title": title, "description": description, "now": now}
            await connection.execute(CREATE, _values(key) | given)
            return await _get(connection, key)

    async def get(self, key: CollectionKey) -> Collection:
        """Returns a collection. Raises NotFound."""
        async with self._database.reading() as connection:
            return await _get(connection, key)

    async def page(self, tenant: str, user: str, before: int | None, limit: int) -> Sequence[Collection]:
        """Returns collections of a user with lower numbers than `before`, the newest first."""
        values = {"tenant": tenant, "user": user, "before": before, "limit": limit}
        async with self._database.reading() as connection:
            return [_collection(row) for row in await connection.execute(PAGE, values)]

    async def change(
        self, key: CollectionKey, changes: CollectionChanges, now: datetime, revision: int | None = None
    ) -> Collection:
        """Changes a collection. Raises NotFound, Conflict."""
        async with self._database.writing() as connection:
            number = await _lock(connection, key, revision)
            texts = {"title": changes.title, "description": changes.description}
            await connection.execute(CHANGE, {"number": number, "now": now} | texts)
            if changes.cover is not None:
                await connection.execute(NO_COVER, {"number": number})
            if changes.cover:
                chosen = await connection.execute(COVER, {"number": number, "cover": changes.cover})
                if not chosen.rowcount:
                    raise NotFound("asset of the collection", f"assets/{changes.cover}", field="collection.cover")
            return await _get(connection, key)

    async def delete(self, key: CollectionKey, revision: int | None = None) -> Collection:
        """Deletes a collection, and no asset. Returns it as it was. Raises NotFound, Conflict."""
        async with self._database.writing() as connection:
            number = await _lock(connection, key, revision)
            found = await _get(connection, key)
            await connection.execute(DELETE, {"number": number})
            return found

    async def add(self, key: CollectionKey, assets: Sequence[str], now: datetime) -> tuple[int, Sequence[str]]:
        """Adds assets. Returns how many are new, and those that are not there. Raises NotFound, PreconditionFailed."""
        async with self._database.writing() as connection:
            number = await _lock(connection, key, None)
            rows = (await connection.execute(FOUND, _values(key) | {"assets": list(assets)})).all()
            there = {row.sha256 for row in rows}
            members = {"number": number, "entries": [row.id for row in rows], "now": now}
            added = (await connection.execute(ADD, members)).rowcount
            if int((await connection.execute(SIZE, {"number": number})).scalar_one()) > ASSETS_MOST:
                raise PreconditionFailed(
                    f"{_name(key)} would have more than {ASSETS_MOST} assets. None was added.",
                    reason=LibraryReason.COLLECTION_FULL,
                    metadata={"limit": str(ASSETS_MOST)},
                )
            if added:
                await connection.execute(TOUCH, {"number": number, "now": now})
        return added, [asset for asset in assets if asset not in there]

    async def remove(self, key: CollectionKey, assets: Sequence[str], now: datetime) -> int:
        """Removes assets from a collection. Returns how many were in it. Raises NotFound."""
        async with self._database.writing() as connection:
            number = await _lock(connection, key, None)
            removed = (await connection.execute(REMOVE, {"number": number, "assets": list(assets)})).rowcount
            if removed:
                await connection.execute(TOUCH, {"number": number, "now": now})
        return removed


def _name(key: CollectionKey) -> str:
    return f"collections/{key.id}"


def _values(key: CollectionKey) -> dict[str, Any]:
    return {"tenant": key.tenant, "user": key.user, "id": key.id}


async def _lock(connection: AsyncConnection, key: CollectionKey, revision: int | None) -> int:
    """Locks a collection, and returns its number. Raises NotFound, Conflict."""
    row = (await connection.execute(LOCK, _values(key))).one_or_none()
    if row is None:
        raise NotFound("collection", _name(key))
    if revision is not None and row.revision != revision:
        raise Conflict(
            f"{_name(key)} was changed meanwhile: its etag is {row.revision}. Read it, and repeat the change.",
            reason=LibraryReason.ETAG_OUTDATED,
            metadata={"etag": str(row.revision)},
        )
    return int(row.number)


async def _find(connection: AsyncConnection, key: CollectionKey) -> Collection | None:
    row = (await connection.execute(GET, _values(key))).one_or_none()
    return _collection(row) if row else None


async def _get(connection: AsyncConnection, key: CollectionKey) -> Collection:
    found = await _find(connection, key)
    if found is None:
        raise NotFound("collection", _name(key))
    return found


def _collection(row: Row[Any]) -> Collection:
    return Collection(
        key=CollectionKey(row.tenant, row.user, row.id),
        number=row.number,
        title=row.title,
        description=row.description,
        cover=row.cover,
        asset_count=row.assets,
        revision=row.revision,
        create_time=row.create_time,
        update_time=row.update_time,
    )
