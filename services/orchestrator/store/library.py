"""PostgresLibrary: the entries of the library."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from services.errors import Conflict, InvalidInput, NotFound, PreconditionFailed, Violation
from services.orchestrator.domain.asset import Asset
from services.orchestrator.domain.library_batch import SELECTED_MOST, BatchChange, BatchCount, Selection
from services.orchestrator.domain.library_details import TAGS_MOST, Details
from services.orchestrator.domain.library_entry import Kind, LibraryEntry, Origin
from services.orchestrator.domain.library_list import LibraryList, Place
from services.orchestrator.domain.library_statistics import LibraryStatistics
from services.orchestrator.store import library_batches, library_pages, library_statistics, row_mapping
from services.orchestrator.store.database import Database, TooSlow
from services.orchestrator.store.schema import assets, library_entries
from services.reasons import LibraryReason

SEARCH_S = 5.0
"""What a search may take: it reads up to all entries of a user."""


class PostgresLibrary:
    """The library of one database."""

    def __init__(self, database: Database, *, search_s: float = SEARCH_S) -> None:
        self._database = database
        self._search_s = search_s

    async def find(self, sha256: str, *, tenant: str, user: str) -> LibraryEntry | None:
        """Returns the entry of an asset; None if this user has none."""
        table = library_entries.c
        query = sa.select(library_entries).where(table.tenant == tenant, table.user == user, table.sha256 == sha256)
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        return entry(row) if row else None

    async def page(
        self, which: LibraryList, after: Place | None, limit: int
    ) -> Sequence[tuple[Asset, LibraryEntry, Place]]:
        """Returns the entries of a list after a place, in its order, each with its own place."""
        plain = which.filter is None and not which.words and which.similar_to is None
        async with self._database.reading() if plain else self._searching() as connection:
            rows = (await connection.execute(library_pages.page(which, after, limit))).all()
            stored = sa.select(assets).where(
                assets.c.tenant == which.tenant,
                assets.c.user == which.user,
                assets.c.sha256.in_([row.sha256 for row in rows]),
            )
            known = {row.sha256: row_mapping.asset(row) for row in await connection.execute(stored)} if rows else {}
        # One that was deleted between the two statements is left out.
        return [(known[row.sha256], entry(row), Place(row.place, row.id)) for row in rows if row.sha256 in known]

    async def perceptual_hash(self, sha256: str, *, tenant: str, user: str) -> int | None:
        """Returns the perceptual hash of an asset; None without one. Raises NotFound."""
        table = library_entries.c
        query = sa.select(table.phash).where(
            table.tenant == tenant, table.user == user, table.sha256 == sha256, table.delete_time.is_(None)
        )
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        if row is None:
            raise NotFound("asset", f"assets/{sha256}")
        found: int | None = row.phash
        return found

    async def change(
        self, sha256: str, changes: Mapping[str, Any], *, tenant: str, user: str, revision: int | None = None
    ) -> LibraryEntry:
        """Changes fields of an entry. Raises NotFound, and Conflict if it does not have the given revision."""
        table = library_entries.c
        where = (table.tenant == tenant, table.user == user, table.sha256 == sha256, table.delete_time.is_(None))
        fits = [] if revision is None else [table.revision == revision]
        stored = {name: list(value) if name == "tags" else value for name, value in changes.items()}
        values = stored | {"revision": table.revision + 1, "update_time": sa.func.clock_timestamp()}
        update = sa.update(library_entries).where(*where, *fits).values(values).returning(library_entries)
        async with self._database.reading() as connection:
            row = (await connection.execute(update)).one_or_none()
            if row is not None:
                return entry(row)
            there = (await connection.execute(sa.select(table.revision).where(*where))).one_or_none()
        if there is None:
            raise NotFound("asset", f"assets/{sha256}")
        raise Conflict(
            f"assets/{sha256} was changed meanwhile: its etag is {there.revision}. Read it, and repeat the change.",
            reason=LibraryReason.ETAG_OUTDATED,
            metadata={"etag": str(there.revision)},
        )

    async def change_all(self, which: Selection, change: BatchChange) -> BatchCount:
        """Changes several entries, or none of them."""
        async with self._selecting(which) as connection:
            rows = (await connection.execute(library_batches.selected(which, change))).all()
            _check_number(len(rows))
            if missing := [name for name in which.names if name not in {row.sha256 for row in rows}]:
                raise NotFound("asset", f"assets/{missing[0]}")
            if full := [row.sha256 for row in rows if row.changes and row.tags > TAGS_MOST]:
                what = f"give assets/{full[0]} more than {TAGS_MOST} tags"
                wrong = Violation("add_tags", what, LibraryReason.TAGS_TOO_MANY)
                raise InvalidInput([wrong], reason=LibraryReason.TAGS_TOO_MANY)
            ids = [row.id for row in rows if row.changes]
            if ids and not change.dry_run:
                await connection.execute(library_batches.update(ids, change))
        return BatchCount(len(rows), len(ids))

    async def selected(self, which: Selection) -> Sequence[str]:
        """Returns the SHA-256 of the entries of a selection."""
        async with self._selecting(which) as connection:
            found = (await connection.execute(library_batches.names(which))).scalars().all()
        _check_number(len(found))
        return found

    async def statistics(self, which: LibraryList) -> LibraryStatistics:
        """Returns the statistics of a list."""
        async with self._searching() as connection:
            return library_statistics.statistics(await connection.execute(library_statistics.groups(which)))

    @asynccontextmanager
    async def _searching(self) -> AsyncIterator[AsyncConnection]:
        """Gives a connection for a statement that may read all entries of a user. Raises PreconditionFailed."""
        try:
            async with self._database.limited(self._search_s) as connection:
                yield connection
        except TooSlow as error:
            what = (
                f"The search takes more than {self._search_s:g} s, because it reads too many assets. Narrow it, such "
                "as by type or create_time, or choose another order than relevance."
            )
            raise PreconditionFailed(what, reason=LibraryReason.SEARCH_TOO_LARGE) from error

    @asynccontextmanager
    async def _selecting(self, which: Selection) -> AsyncIterator[AsyncConnection]:
        """Gives a connection in a transaction; a filter may read all entries. Raises PreconditionFailed."""
        if which.filter is None:
            async with self._database.writing() as connection:
                yield connection
            return
        try:
            async with self._database.limited(self._search_s) as connection:
                yield connection
        except TooSlow as error:
            what = (
                f"To select by this filter takes more than {self._search_s:g} s, because it reads too many assets or "
                "others change them. Nothing was changed. Narrow it, such as by type or create_time, or give names."
            )
            raise PreconditionFailed(what, reason=LibraryReason.SEARCH_TOO_LARGE) from error


def _check_number(selected: int) -> None:
    if selected > SELECTED_MOST:
        what = f"The filter selects more than {SELECTED_MOST:,} assets. Narrow it, and repeat the call."
        raise PreconditionFailed(what, reason=LibraryReason.SELECTION_TOO_LARGE)


def entry(row: Row[Any]) -> LibraryEntry:
    """Returns the entry of a row."""
    return LibraryEntry(
        tenant=row.tenant,
        user=row.user,
        sha256=row.sha256,
        kind=Kind(row.kind),
        details=Details(row.title, row.description, tuple(row.tags), row.source_module, row.custom),
        favorite=row.favorite,
        rating=row.rating,
        origin=_origin(row) if row.job_id else None,
        downloads=row.downloads,
        shares=row.shares,
        access_time=row.access_time,
        revision=row.revision,
        create_time=row.create_time,
        update_time=row.update_time,
        delete_time=row.delete_time,
    )


def _origin(row: Row[Any]) -> Origin:
    return Origin(row.job_id, row.operation, row.model, row.seed, row.prompt, row.cost_micros, tuple(row.parents))
