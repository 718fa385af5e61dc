"""PostgresAssets: what is known of assets."""

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from services.errors import NotFound
from services.orchestrator.domain.asset import Asset
from services.orchestrator.store import row_mapping
from services.orchestrator.store.database import Database
from services.orchestrator.store.schema import assets


class PostgresAssets:
    """The assets of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, asset: Asset) -> Asset:
        """Stores an uploaded asset; the one stored first stays and is returned."""
        upload = insert(assets).values(row_mapping.asset_columns(asset) | {"kept": True})
        keep = upload.on_conflict_do_update(index_elements=["tenant", "user", "sha256"], set_={"kept": True})
        async with self._database.writing() as connection:
            await connection.execute(keep)
        return await self.get(asset.sha256, tenant=asset.tenant, user=asset.user)

    async def get(self, sha256: str, *, tenant: str, user: str) -> Asset:
        """Returns what is known of an asset if it is this user's. Raises NotFound."""
        query = sa.select(assets).where(assets.c.tenant == tenant, assets.c.user == user, assets.c.sha256 == sha256)
        async with self._database.reading() as connection:
            row = (await connection.execute(query)).one_or_none()
        if row is None:
            raise NotFound("asset", f"assets/{sha256}")
        return row_mapping.asset(row)
