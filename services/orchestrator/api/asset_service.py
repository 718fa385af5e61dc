"""AssetService: bytes in, bytes out."""

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass

import grpc
from i2v.v1 import asset_pb2, asset_pb2_grpc

from services.orchestrator.api import library_messages, proto_values
from services.orchestrator.api.authentication import Authentication
from services.orchestrator.assets.direct_uploads import DirectUploads
from services.orchestrator.assets.ingest import Ingest, Upload
from services.orchestrator.assets.renditions import OnDemandRenditions
from services.orchestrator.assets.resumable_uploads import ResumableUploads
from services.orchestrator.domain.asset import Asset
from services.orchestrator.domain.caller import Caller
from services.orchestrator.domain.open_upload import UploadId
from services.orchestrator.domain.rendition import Rendition, rendition_key
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
    resumable: ResumableUploads
    direct: DirectUploads
    renditions: OnDemandRenditions
    callers: Authentication

    async def WriteAsset(
        self, request_iterator: AsyncIterator[asset_pb2.WriteAssetRequest], context: grpc.ServicerContext
    ) -> asset_pb2.Asset:
        """Stores an upload as an asset."""
        first = await anext(request_iterator, None)
        if first is None or first.WhichOneof("part") != "header":
            raise proto_values.refuse("header", "must come first", AssetReason.HEADER_MISSING)
        header, caller = first.header, self.callers.caller()
        upload, data = _upload(header), _data(request_iterator)
        if not header.upload_id:
            return await self._message(await self.ingest.take(upload, data, caller))
        upload_id = _upload_id(header.upload_id, "header.upload_id", caller)
        return await self._message(await self.resumable.take(upload_id, header.offset, upload, data, caller))

    async def QueryWriteStatus(
        self, request: asset_pb2.QueryWriteStatusRequest, context: grpc.ServicerContext
    ) -> asset_pb2.WriteStatus:
        """Returns how much of an upload has arrived."""
        found = await self.resumable.uploads.find(_upload_id(request.upload_id, "upload_id", self.callers.caller()))
        return asset_pb2.WriteStatus(
            received_bytes=found.received_bytes,
            size_bytes=found.size_bytes,
            asset=f"assets/{found.asset}" if found.asset else "",
            expire_time=proto_values.timestamp(found.expire_time),
        )

    async def CreateDirectUpload(
        self, request: asset_pb2.CreateDirectUploadRequest, context: grpc.ServicerContext
    ) -> asset_pb2.DirectUpload:
        """Returns a form for an upload to the store."""
        caller = self.callers.caller()
        upload_id = _upload_id(request.header.upload_id, "header.upload_id", caller)
        form = await self.direct.create(upload_id, _upload(request.header), caller)
        return asset_pb2.DirectUpload(url=form.url, fields=form.fields)

    async def FinalizeUpload(
        self, request: asset_pb2.FinalizeUploadRequest, context: grpc.ServicerContext
    ) -> asset_pb2.Asset:
        """Makes the asset of what was sent to the store."""
        caller = self.callers.caller()
        upload_id = _upload_id(request.upload_id, "upload_id", caller)
        return await self._message(await self.direct.finalize(upload_id, caller))

    async def ReadAsset(
        self, request: asset_pb2.ReadAssetRequest, context: grpc.ServicerContext
    ) -> AsyncIterator[asset_pb2.ReadAssetResponse]:
        """Streams the bytes of an asset, or of one of its variants."""
        asset = await self._asset(request.name)
        key, size, what = asset.key, asset.size_bytes, "asset"
        if request.variant:
            found = await self.renditions.get(asset, request.variant)
            key, size, what = rendition_key(asset.tenant, asset.sha256, found.variant), found.size_bytes, found.variant
        if not 0 <= request.offset <= size:
            raise proto_values.refuse(
                "offset", f"is {request.offset}; the {what} has {size} bytes", AssetReason.OFFSET_OUT_OF_RANGE
            )
        if request.length < 0:
            raise proto_values.refuse("length", f"is {request.length}", AssetReason.OFFSET_OUT_OF_RANGE)
        async for chunk in self.blobs.read(key, offset=request.offset, length=request.length or None):
            yield asset_pb2.ReadAssetResponse(data=chunk)

    async def GetAsset(self, request: asset_pb2.GetAssetRequest, context: grpc.ServicerContext) -> asset_pb2.Asset:
        """Returns what is known of an asset."""
        return await self._message(await self._asset(request.name))

    async def GetRendition(
        self, request: asset_pb2.GetRenditionRequest, context: grpc.ServicerContext
    ) -> asset_pb2.Rendition:
        """Returns what is known of a variant of an asset, which is made if it is missing."""
        return _rendition(request.name, await self.renditions.get(await self._asset(request.name), request.variant))

    async def _message(self, asset: Asset) -> asset_pb2.Asset:
        entry = await self.library.find(asset.sha256, tenant=asset.tenant, user=asset.user)
        return library_messages.asset(asset, entry)

    async def _asset(self, name: str) -> Asset:
        caller = self.callers.caller()
        return await self.assets.get(proto_values.resource_id(name, "assets"), tenant=caller.tenant, user=caller.user)


def _upload(header: asset_pb2.WriteAssetHeader) -> Upload:
    return Upload(
        media_type=header.media_type,
        size_bytes=header.size_bytes if header.HasField("size_bytes") else None,
        sha256=header.sha256.lower(),
        details=library_messages.details(header.details),
    )


def _upload_id(text: str, field: str, caller: Caller) -> UploadId:
    try:
        return UploadId(caller.tenant, caller.user, str(uuid.UUID(text)))
    except ValueError:
        what = f"is {text[:80]!r}; give a UUID"
        raise proto_values.refuse(field, what, AssetReason.UPLOAD_ID_MALFORMED) from None


async def _data(requests: AsyncIterator[asset_pb2.WriteAssetRequest]) -> AsyncIterator[bytes]:
    async for request in requests:
        if request.WhichOneof("part") != "data":
            raise proto_values.refuse("header", "must come once only", AssetReason.HEADER_REPEATED)
        if not request.data:
            raise proto_values.refuse("data", "is empty; leave such a message out", AssetReason.DATA_EMPTY)
        yield request.data


def _rendition(name: str, found: Rendition) -> asset_pb2.Rendition:
    message = asset_pb2.Rendition(
        asset=name, variant=found.variant, media_type=found.media_type, size_bytes=found.size_bytes
    )
    if found.width is not None and found.height is not None:
        message.size.width, message.size.height = found.width, found.height
    return message
