"""What tests of shares have in common: the calls of those who share, and of readers."""

import uuid
from dataclasses import dataclass
from typing import Any

from google.protobuf.duration_pb2 import Duration
from i2v.v1 import (
    asset_pb2,
    collection_pb2,
    collection_pb2_grpc,
    share_pb2,
    share_pb2_grpc,
    shared_pb2,
    shared_pb2_grpc,
)

from tests.support.served_orchestrator import Served, caller


@dataclass(frozen=True)
class Links:
    """The calls of one server."""

    i2v: Served

    async def make(self, seconds: int | None = None, who: str = "ann", tenant: str = "studio", **fields: Any) -> Any:
        """Makes a share."""
        request = share_pb2.CreateShareRequest(**{"request_id": str(uuid.uuid4())} | fields)
        if seconds is not None:
            request.expire_in.CopyFrom(Duration(seconds=seconds))
        return await self.call("CreateShare", request, who, tenant)

    async def call(self, method: str, request: Any, who: str = "ann", tenant: str = "studio") -> Any:
        """Calls a method of ShareService."""
        stub: Any = share_pb2_grpc.ShareServiceStub(self.i2v.channel)
        return await getattr(stub, method)(request, metadata=caller(tenant, who))

    async def get(self, name: str) -> Any:
        return await self.call("GetShare", share_pb2.GetShareRequest(name=name))

    async def revoke(self, name: str) -> Any:
        return await self.call("RevokeShare", share_pb2.RevokeShareRequest(name=name))

    async def unlock(self, token: str, pass_phrase: str) -> Any:
        request = shared_pb2.UnlockSharedRequest(pass_phrase=pass_phrase)
        return await self.reader.UnlockShared(request, metadata=bearer(token))

    async def shown(self, token: str, **fields: Any) -> Any:
        return await self.reader.GetShared(shared_pb2.GetSharedRequest(**fields), metadata=bearer(token))

    async def file(self, token: str, asset: str, **fields: Any) -> Any:
        request = shared_pb2.GetSharedFileRequest(asset=asset, **fields)
        return await self.reader.GetSharedFile(request, metadata=bearer(token))

    async def read(self, token: str, asset: str, **fields: Any) -> bytes:
        request = shared_pb2.ReadSharedRequest(asset=asset, **fields)
        return b"".join([each.data async for each in self.reader.ReadShared(request, metadata=bearer(token))])

    async def collection(self, title: str, *assets: str, tenant: str = "studio") -> str:
        """Makes a collection, and returns its name."""
        stub: Any = collection_pb2_grpc.CollectionServiceStub(self.i2v.channel)
        request = collection_pb2.CreateCollectionRequest(
            request_id=str(uuid.uuid4()), collection=collection_pb2.Collection(title=title)
        )
        name = (await stub.CreateCollection(request, metadata=caller(tenant))).name
        if assets:
            await stub.AddAssets(collection_pb2.AddAssetsRequest(name=name, assets=assets), metadata=caller(tenant))
        return str(name)

    async def entry(self, asset: str) -> asset_pb2.Asset:
        """What the library says of an asset."""
        found: asset_pb2.Asset = await self.i2v.assets.GetAsset(
            asset_pb2.GetAssetRequest(name=asset), metadata=caller()
        )
        return found

    @property
    def reader(self) -> Any:
        return shared_pb2_grpc.SharedServiceStub(self.i2v.channel)


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)
