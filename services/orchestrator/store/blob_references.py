"""PostgresBlobReferences: which blobs the tables name. Every kind of key that has bytes of its own belongs here."""

import re
from collections.abc import Collection, Sequence

import sqlalchemy as sa

from services.orchestrator.domain.asset import blob_key
from services.orchestrator.ports.blob_references import NamedBlob
from services.orchestrator.store.database import Database

ASSET_KEY = re.compile(r"tenants/([^/]+)/assets/([^/]+)")
RENDITION_KEY = re.compile(r"tenants/([^/]+)/renditions/([^/.]+)\..+")
"""Renditions go with their asset."""
AFTER = sa.text(
    "SELECT DISTINCT tenant, sha256 FROM assets WHERE (tenant, sha256) > (:tenant, :sha256)"
    " ORDER BY tenant, sha256 LIMIT :limit"
)
KNOWN = sa.text(
    "SELECT DISTINCT tenant, sha256 FROM assets"
    " WHERE (tenant, sha256) IN (SELECT * FROM unnest(CAST(:tenants AS text[]), CAST(:digests AS text[])))"
)


class PostgresBlobReferences:
    """The references of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def named(self, *, after: str, limit: int) -> Sequence[NamedBlob]:
        """Returns the keys of assets that follow a key, by tenant and digest."""
        found = ASSET_KEY.fullmatch(after)
        tenant, sha256 = found.groups() if found else ("", "")
        async with self._database.reading() as connection:
            rows = await connection.execute(AFTER, {"tenant": tenant, "sha256": sha256, "limit": limit})
            return [NamedBlob(blob_key(row.tenant, row.sha256), row.sha256) for row in rows]

    async def unnamed(self, keys: Collection[str]) -> set[str]:
        """Returns those of the keys that neither an asset nor its renditions have."""
        found = {
            key: each.groups()
            for key in keys
            if (each := ASSET_KEY.fullmatch(key) or RENDITION_KEY.fullmatch(key)) is not None
        }
        given = {
            "tenants": [tenant for tenant, _ in found.values()],
            "digests": [sha256 for _, sha256 in found.values()],
        }
        async with self._database.reading() as connection:
            known = {(row.tenant, row.sha256) for row in await connection.execute(KNOWN, given)}
        return {key for key in keys if found.get(key) not in known}
