"""PostgresShares: links to assets and collections."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from services.errors import NotFound, PreconditionFailed
from services.orchestrator.domain.share import ATTEMPT_EVERY, ATTEMPTS, OPEN_MOST, NewShare, Share, ShareKey
from services.orchestrator.domain.shared import SharedAsset, SharedPage, SharedPlace
from services.orchestrator.store import shared_assets
from services.orchestrator.store.database import Database
from services.reasons import LibraryReason

KEPT_FOR = timedelta(days=30)
"""How long at least an ended share is listed."""

OWN = 'shares.tenant = :tenant AND shares."user" = :user'
KEY = f"{OWN} AND shares.id = :id"
SHOWN = """
SELECT shares.*, entry.sha256 AS asset, collections.id AS collection_id FROM shares
LEFT JOIN library_entries AS entry ON entry.id = shares.entry
LEFT JOIN collections ON collections.number = shares.collection
"""
FIND = sa.text(f"{SHOWN} WHERE {KEY}")
PAGE = sa.text(f"""
{SHOWN} WHERE {OWN} AND (CAST(:before AS bigint) IS NULL OR shares.number < :before)
    AND (CAST(:open_at AS timestamptz) IS NULL OR (shares.revoke_time IS NULL AND shares.expire_time > :open_at))
ORDER BY shares.number DESC LIMIT :limit
""")
OF_TOKEN = sa.text(f"""
{SHOWN} JOIN tenants ON tenants.id = shares.tenant AND tenants.state = 'active' WHERE token_sha256 = :token_sha256
""")
LOCK_USER = sa.text("SELECT pg_advisory_xact_lock(hashtextextended(:tenant || '/' || :user || '/shares', 0))")
COUNT = sa.text(f"SELECT count(*) FROM shares WHERE {OWN} AND revoke_time IS NULL AND expire_time > :now")
FORGET = sa.text(f"DELETE FROM shares WHERE {OWN} AND least(expire_time, revoke_time) < :before")
ENTRY = sa.text("""
UPDATE library_entries SET shares = shares + 1
WHERE tenant = :tenant AND "user" = :user AND sha256 = :asset AND delete_time IS NULL RETURNING id
""")
COLLECTION = sa.text("""
SELECT number FROM collections WHERE tenant = :tenant AND "user" = :user AND id = :collection FOR KEY SHARE
""")
CREATE = sa.text("""
INSERT INTO shares (tenant, "user", id, token_sha256, entry, collection, pass_phrase, create_time, expire_time)
VALUES (:tenant, :user, :id, :token_sha256, :entry, :collection, :pass_phrase, :create_time, :expire_time)
""")
REVOKE = sa.text(f"UPDATE shares SET revoke_time = :now WHERE {KEY} AND revoke_time IS NULL AND expire_time > :now")

# A bucket: `attempts_until` is when it is full again.
_AFTER = "greatest(attempts_until, CAST(:now AS timestamptz)) + CAST(:every AS interval)"
ATTEMPT = sa.text(f"""
UPDATE shares SET attempts_until = {_AFTER}
WHERE number = :number AND {_AFTER} <= CAST(:now AS timestamptz) + :attempts * CAST(:every AS interval)
""")
NEXT_ATTEMPT = sa.text("""
SELECT attempts_until - (:attempts - 1) * CAST(:every AS interval) FROM shares WHERE number = :number
""")
SUCCEEDED = sa.text(
    "UPDATE shares SET attempts_until = attempts_until - CAST(:every AS interval) WHERE number = :number"
)


class PostgresShares:
    """The shares of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, key: ShareKey) -> Share | None:
        """Returns a share; None if its user has no such share."""
        async with self._database.reading() as connection:
            return await _find(connection, key)

    async def create(self, new: NewShare) -> tuple[Share, bool]:
        """Makes a share. Raises NotFound, PreconditionFailed."""
        values = _values(new.key)
        async with self._database.writing() as connection:
            await connection.execute(LOCK_USER, values)
            await connection.execute(FORGET, values | {"before": new.create_time - KEPT_FOR})
            if (there := await _find(connection, new.key)) is not None:
                return there, False
            if int((await connection.execute(COUNT, values | {"now": new.create_time})).scalar_one()) >= OPEN_MOST:
                raise PreconditionFailed(
                    f"You have {OPEN_MOST} open shares, and no more are possible. Revoke some.",
                    reason=LibraryReason.SHARES_TOO_MANY,
                    metadata={"limit": str(OPEN_MOST)},
                )
            target = await _target(connection, new)
            given = {
                "token_sha256": new.token_sha256,
                "pass_phrase": new.pass_phrase,
                "create_time": new.create_time,
                "expire_time": new.expire_time,
            }
            await connection.execute(CREATE, values | target | given)
            made = await _find(connection, new.key)
            assert made is not None, "it was just made"
            return made, True

    async def page(
        self, tenant: str, user: str, before: int | None, limit: int, *, open_at: datetime | None = None
    ) -> Sequence[Share]:
        """Returns shares of a user with lower numbers than `before`, the newest first."""
        values = {"tenant": tenant, "user": user, "before": before, "limit": limit, "open_at": open_at}
        async with self._database.reading() as connection:
            return [_share(row) for row in await connection.execute(PAGE, values)]

    async def revoke(self, key: ShareKey, now: datetime) -> Share:
        """Ends a share, unless it has ended. Raises NotFound."""
        async with self._database.reading() as connection:
            await connection.execute(REVOKE, _values(key) | {"now": now})
            found = await _find(connection, key)
        if found is None:
            raise NotFound("share", f"shares/{key.id}")
        return found

    async def of_token(self, token_sha256: str) -> Share | None:
        """Returns the share of a token, by its digest, if its tenant is active."""
        async with self._database.reading() as connection:
            row = (await connection.execute(OF_TOKEN, {"token_sha256": token_sha256})).one_or_none()
        return _share(row) if row else None

    async def shown(
        self, share: Share, now: datetime, *, after: SharedPlace | None = None, limit: int
    ) -> SharedPage | None:
        """Returns what a share shows now."""
        async with self._database.reading() as connection:
            return await shared_assets.page(connection, share, now, after, limit)

    async def asset(self, share: Share, sha256: str, now: datetime) -> SharedAsset | None:
        """Returns an asset that a share shows now."""
        async with self._database.reading() as connection:
            return await shared_assets.one(connection, share, sha256, now)

    async def attempt(self, share: Share, now: datetime) -> datetime | None:
        """Counts an attempt at the pass phrase, or returns when one is possible again."""
        values = {"number": share.number, "now": now, "every": ATTEMPT_EVERY, "attempts": ATTEMPTS}
        async with self._database.reading() as connection:
            if (await connection.execute(ATTEMPT, values)).rowcount:
                return None
            again: datetime | None = (await connection.execute(NEXT_ATTEMPT, values)).scalar_one_or_none()
        return again or now + ATTEMPT_EVERY  # the share has just gone: the next call says so

    async def succeeded(self, share: Share) -> None:
        """An attempt was right: it does not count."""
        async with self._database.reading() as connection:
            await connection.execute(SUCCEEDED, {"number": share.number, "every": ATTEMPT_EVERY})


def _values(key: ShareKey) -> dict[str, Any]:
    return {"tenant": key.tenant, "user": key.user, "id": key.id}


async def _find(connection: AsyncConnection, key: ShareKey) -> Share | None:
    row = (await connection.execute(FIND, _values(key))).one_or_none()
    return _share(row) if row else None


async def _target(connection: AsyncConnection, new: NewShare) -> dict[str, int | None]:
    """Returns the columns of what is shared. Raises NotFound."""
    statement, kind, id = (ENTRY, "asset", new.asset) if new.asset else (COLLECTION, "collection", new.collection)
    row = (await connection.execute(statement, _values(new.key) | {kind: id})).one_or_none()
    if row is None:
        raise NotFound(kind, f"{kind}s/{id}")
    return {"entry": None, "collection": None, ("entry" if new.asset else "collection"): int(row[0])}


def _share(row: Row[Any]) -> Share:
    return Share(
        key=ShareKey(row.tenant, row.user, row.id),
        number=row.number,
        asset=row.asset or "",
        collection=row.collection_id or "",
        pass_phrase=row.pass_phrase,
        create_time=row.create_time,
        expire_time=row.expire_time,
        revoke_time=row.revoke_time,
        views=row.views,
        view_time=row.view_time,
        downloads=row.downloads,
        download_time=row.download_time,
    )
