"""AssetService: bytes in, bytes out."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import grpc
from i2v.v1 import asset_pb2, asset_pb2_grpc

from services.orchestrator.api import library_messages, proto_values
from services.orchestrator.api.authentication import Authentication
from services.orchestrator.assets.ingest import Ingest, Upload
from services.orchestrator.domain.asset import Asset
from services.orchestrator.ports.assets import Assets
from services.orchestrator.ports.blobs import Blobs
from services.orchestrator.ports.library import Library
from services.reasons import AssetReason


@dataclass(frozen=True, slots=True)
class AssetService(asset_pb2_grpc.AssetServiceServicer):
    """Answers the RPCs of asset.proto."""

    assets: Assets
    library: Library
    blobs: Blobs
    ingest: Ingest
    callers: Authentication

    async def WriteAsset(
        self, request_iterator: AsyncIterator[asset_pb2.WriteAssetRequest], context: grpc.ServicerContext
    ) -> asset_pb2.Asset:
        """Stores an upload as an asset."""
        first = await anext(request_iterator, None)
        if first is None or first.WhichOneof("part") != "header":
            raise proto_values.refuse("header", "must come first", AssetReason.HEADER_MISSING)
        header, caller = first.header, self.callers.caller()
        upload = Upload(
            media_type=header.media_type,
            size_bytes=header.size_bytes if header.HasField("size_bytes") else None,
            sha256=header.sha256.lower(),
            details=library_messages.details(header.details),
        )
        return await self._message(await self.ingest.take(upload, _data(request_iterator), caller))

    async def ReadAsset(
        self, request: asset_pb2.ReadAssetRequest, context: grpc.ServicerContext
    ) -> AsyncIterator[asset_pb2.ReadAssetResponse]:
        """Streams the bytes of an asset."""
        asset = await self._asset(request.name)
        if not 0 <= request.offset <= asset.size_bytes:
            raise proto_values.refuse(
                "offset",
                f"is {request.offset}; the asset has {asset.size_bytes} bytes",
                AssetReason.OFFSET_OUT_OF_RANGE,
            )
        async for chunk in self.blobs.read(asset.key, offset=request.offset):
            yield asset_pb2.ReadAssetResponse(data=chunk)

    async def GetAsset(self, request: asset_pb2.GetAssetRequest, context: grpc.ServicerContext) -> asset_pb2.Asset:
        """Returns what is known of an asset."""
        return await self._message(await self._asset(request.name))

    async def _message(self, asset: Asset) -> asset_pb2.Asset:
        entry = await self.library.find(asset.sha256, tenant=asset.tenant, user=asset.user)
        return library_messages.asset(asset, entry)

    async def _asset(self, name: str) -> Asset:
        caller = self.callers.caller()
        return await self.assets.get(proto_values.resource_id(name, "assets"), tenant=caller.tenant, user=caller.user)


async def _data(requests: AsyncIterator[asset_pb2.WriteAssetRequest]) -> AsyncIterator[bytes]:
    async for request in requests:
        if request.WhichOneof("part") != "data":
            raise proto_values.refuse("header", "must come once only", AssetReason.HEADER_REPEATED)
        if not request.data:
            raise proto_values.refuse("data", "is empty; leave such a message out", AssetReason.DATA_EMPTY)
        yield request.data
