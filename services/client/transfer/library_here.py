"""What the library of one user has already, on disk: a million entries take no memory."""

from typing import Any

from i2v.v1 import asset_pb2, asset_pb2_grpc

from i2v_client import AsyncClient
from services.client.transfer import imported_facts
from services.client.transfer.disk_table import DiskTable

PAGE = 500


class LibraryHere(DiskTable):
    """The entries of one user. To be used as `with`."""

    TABLES = """
        CREATE TABLE here (name TEXT PRIMARY KEY, source TEXT, asset BLOB) WITHOUT ROWID;
        CREATE INDEX here_source ON here (source) WHERE source <> '';
    """

    async def load(self, client: AsyncClient) -> None:
        """Reads the whole library, with its trash. Raises I2VError."""
        assets: Any = asset_pb2_grpc.AssetServiceStub(client.channel())
        request = asset_pb2.ListAssetsRequest(page_size=PAGE, show_deleted=True, order_by="create_time asc")
        async for asset in client.each(assets.ListAssets, request, "assets"):
            self.put(asset)

    def put(self, asset: asset_pb2.Asset) -> None:
        """Notes an entry as it is now."""
        row = (asset.name, imported_facts.source_of(asset), asset.SerializeToString())
        self._database.execute("INSERT OR REPLACE INTO here VALUES (?, ?, ?)", row)

    def find(self, name: str) -> asset_pb2.Asset | None:
        """Returns the entry of an asset that is here under its name, or was imported under it; else None.

        Pictures are encoded again when they are uploaded, so they may have another name than in the export.
        """
        for column in ("name", "source"):
            query = f"SELECT asset FROM here WHERE {column} = ? LIMIT 1"
            if (row := self._database.execute(query, (name,)).fetchone()) is not None:
                return asset_pb2.Asset.FromString(row[0])
        return None
