"""Manifests in the database: written in the transaction that ends a job, read by their user."""

import json
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.errors import NotFound
from services.orchestrator.domain.job import Job
from services.orchestrator.domain.manifest import Manifest
from services.orchestrator.store.database import Database
from services.orchestrator.store.provenance_schema import manifests

# An unsigned video may be the same, byte for byte, as that of an earlier job: the first manifest stays.
WRITE = sa.text("""
INSERT INTO manifests (tenant, "user", sha256, body, create_time)
VALUES (:tenant, :user, :sha256, CAST(:body AS jsonb), :now)
ON CONFLICT DO NOTHING
""")

# By way of the assets, which have an index of digests.
OF_BYTES = sa.text("""
SELECT manifests.body FROM assets JOIN manifests USING (tenant, "user", sha256)
WHERE assets.tenant = :tenant AND assets.sha256 = :sha256 ORDER BY manifests.create_time LIMIT 1
""")


async def write(connection: AsyncConnection, job: Job, manifest: Manifest, now: datetime) -> None:
    """Stores the manifest of an asset that this transaction stores; the caller commits."""
    values = {"tenant": job.tenant, "user": job.user, "sha256": manifest.sha256, "now": now}
    await connection.execute(WRITE, values | {"body": json.dumps(manifest.body)})


class PostgresManifests:
    """The manifests of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, sha256: str, *, tenant: str, user: str) -> tuple[Manifest, datetime]:
        """Returns the manifest of an asset of this user, and when it was made. Raises NotFound."""
        query = sa.select(manifests.c.body, manifests.c.create_time).where(
            manifests.c.tenant == tenant, manifests.c.user == user, manifests.c.sha256 == sha256
        )
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        if row is None:
            raise NotFound("manifest", f"assets/{sha256}")
        return Manifest(sha256, row.body), row.create_time

    async def of_bytes(self, tenant: str, sha256: str) -> Manifest | None:
        """Returns the first manifest of these bytes of any user of the tenant; None: no job made them."""
        async with self._database.reading() as connection:
            row = (await connection.execute(OF_BYTES, {"tenant": tenant, "sha256": sha256})).one_or_none()
        return Manifest(sha256, row.body) if row is not None else None
