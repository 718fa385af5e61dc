"""PostgresLibrary: the entries of the library."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy import Row

from services.orchestrator.domain.library_details import Details
from services.orchestrator.domain.library_entry import Kind, LibraryEntry, Origin
from services.orchestrator.store.database import Database
from services.orchestrator.store.schema import library_entries


class PostgresLibrary:
    """The library of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, sha256: str, *, tenant: str, user: str) -> LibraryEntry | None:
        """Returns the entry of an asset; None if this user has none."""
        table = library_entries.c
        query = sa.select(library_entries).where(table.tenant == tenant, table.user == user, table.sha256 == sha256)
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        return entry(row) if row else None


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
