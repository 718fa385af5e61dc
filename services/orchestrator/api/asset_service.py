"""AssetService: bytes in, bytes out."""

import uuid
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta

import grpc
from i2v.v1 import asset_pb2, asset_pb2_grpc

from services.errors import NotFound, PreconditionFailed
from services.orchestrator.api import library_batch_requests, library_messages, proto_values
from services.orchestrator.api.asset_range import read_range
from services.orchestrator.api.authentication import Authentication
from services.orchestrator.api.library_methods import LibraryMethods
from services.orchestrator.assets.direct_uploads import DirectUploads
from services.orchestrator.assets.ingest import Ingest, Upload
from services.orchestrator.assets.read_counts import ReadCounts
from services.orchestrator.assets.renditions import OnDemandRenditions
from services.orchestrator.assets.resumable_uploads import ResumableUploads
from services.orchestrator.assets.signed_urls import SignedUrls
from services.orchestrator.domain.asset import Asset
from services.orchestrator.domain.caller import Caller
from services.orchestrator.domain.library_entry import EntryKey
from services.orchestrator.domain.open_upload import UploadId
from services.orchestrator.domain.rendition import Rendition
from services.orchestrator.ports.assets import Assets
from services.orchestrator.ports.blobs import Blobs
from services.orchestrator.ports.clock_and_ids import Clock
from services.orchestrator.ports.library import Library
from services.orchestrator.ports.trash import Trash
from services.reasons import AssetReason

ITEMS_AT_ONCE = 500
"""Assets that one call deletes of the trash, at most."""

URL_METHODS = (asset_pb2.SignUrlRequest.METHOD_UNSPECIFIED, asset_pb2.SignUrlRequest.METHOD_GET)


@dataclass(frozen=True, slots=True)
class AssetService(LibraryMethods, asset_pb2_grpc.AssetServiceServicer):
    """Answers the RPCs of asset.proto."""

    assets: Assets
    library: Library
    trash: Trash
    blobs: Blobs
    ingest: Ingest
    resumable: ResumableUploads
    direct: DirectUploads
    renditions: OnDemandRenditions
    urls: SignedUrls
    counts: ReadCounts
    callers: Authentication
    clock: Clock

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
            media_type=found.media_type,
            sha256=found.sha256,
        )

    async def CreateDirectUpload(
        self, request: asset_pb2.CreateDirectUploadRequest, context: grpc.ServicerContext
    ) -> asset_pb2.DirectUpload:
        """Returns a form for an upload to the store."""
        caller = self.callers.caller()
        upload_id = _upload_id(request.header.upload_id, "header.upload_id", caller)
        form = await self.direct.create(upload_id, _upload(request.header), caller)
        return asset_pb2.DirectUpload(url=form.url, fields=form.fields, upload_id=upload_id.id)

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
        rendition = await self.renditions.get(asset, request.variant) if request.variant else None
        counts = None if request.uncounted else self.counts
        read = read_range(self.blobs, counts, asset, rendition, request.offset, request.length)
        async with aclosing(read) as chunks:
            async for chunk in chunks:
                yield asset_pb2.ReadAssetResponse(data=chunk)

    async def GetAsset(self, request: asset_pb2.GetAssetRequest, context: grpc.ServicerContext) -> asset_pb2.Asset:
        """Returns what is known of an asset."""
        return await self._message(await self._asset(request.name, also_hidden=request.show_deleted))

    async def DeleteAsset(
        self, request: asset_pb2.DeleteAssetRequest, context: grpc.ServicerContext
    ) -> asset_pb2.Asset:
        """Moves an asset to the trash, or deletes it for good."""
        key = self._key(request.name)
        asset = await self.assets.get(key.sha256, tenant=key.tenant, user=key.user, also_hidden=True)
        if request.permanent:
            message = await self._message(asset)
            await self.trash.purge(key, self.clock.now(), etag=request.etag)
            return message
        return library_messages.asset(asset, await self.trash.put(key, self.clock.now(), etag=request.etag))

    async def RestoreAsset(
        self, request: asset_pb2.RestoreAssetRequest, context: grpc.ServicerContext
    ) -> asset_pb2.Asset:
        """Brings an asset back from the trash."""
        key = self._key(request.name)
        entry = await self.trash.restore(key, self.clock.now())
        asset = await self.assets.get(key.sha256, tenant=key.tenant, user=key.user)
        return library_messages.asset(asset, entry)

    async def BatchDeleteAssets(
        self, request: asset_pb2.BatchDeleteAssetsRequest, context: grpc.ServicerContext
    ) -> asset_pb2.BatchDeleteAssetsResponse:
        """Deletes several assets."""
        which = library_batch_requests.selection(request, self.callers.caller())
        found = await self.library.selected(which) if which.filter is not None else which.names
        answer = asset_pb2.BatchDeleteAssetsResponse()
        for sha256 in found:
            key = EntryKey(which.tenant, which.user, sha256)
            try:
                answer.deleted_bytes += await self._delete(key, permanent=request.permanent, dry_run=request.dry_run)
            except (NotFound, PreconditionFailed):
                answer.left.append(f"assets/{sha256}")
            else:
                answer.deleted += 1
        return answer

    async def EmptyTrash(
        self, request: asset_pb2.EmptyTrashRequest, context: grpc.ServicerContext
    ) -> asset_pb2.EmptyTrashResponse:
        """Deletes for good some of what is in the user's trash."""
        caller = self.callers.caller()
        items = await self.trash.items(caller.tenant, caller.user, limit=ITEMS_AT_ONCE)
        answer = asset_pb2.EmptyTrashResponse(more=len(items) == ITEMS_AT_ONCE and not items[-1].in_use)
        for item in items:
            if item.in_use:
                answer.in_use += 1
                continue
            if not request.dry_run:
                try:
                    await self.trash.purge(item.key, self.clock.now(), in_trash_only=True)
                except NotFound:  # restored meanwhile
                    continue
            answer.deleted += 1
            answer.deleted_bytes += item.size_bytes
        return answer

    async def _delete(self, key: EntryKey, *, permanent: bool, dry_run: bool) -> int:
        """Deletes an asset, unless only looked at, and returns its size. Raises NotFound, PreconditionFailed."""
        asset = await self.assets.get(key.sha256, tenant=key.tenant, user=key.user, also_hidden=permanent)
        if dry_run:
            await self.trash.check(key, permanent=permanent)
        elif permanent:
            await self.trash.purge(key, self.clock.now())
        else:
            await self.trash.put(key, self.clock.now())
        return asset.size_bytes

    def _key(self, name: str) -> EntryKey:
        caller = self.callers.caller()
        return EntryKey(caller.tenant, caller.user, proto_values.resource_id(name, "assets"))

    async def GetRendition(
        self, request: asset_pb2.GetRenditionRequest, context: grpc.ServicerContext
    ) -> asset_pb2.Rendition:
        """Returns what is known of a variant of an asset, which is made if it is missing."""
        return _rendition(request.name, await self.renditions.get(await self._asset(request.name), request.variant))

    async def SignUrl(self, request: asset_pb2.SignUrlRequest, context: grpc.ServicerContext) -> asset_pb2.SignedUrl:
        """Returns a URL of an asset."""
        if request.method not in URL_METHODS:
            raise proto_values.refuse("method", f"is {request.method}; only GET", AssetReason.URL_METHOD_UNSUPPORTED)
        expire_in = None
        if request.HasField("expire_in"):
            expire_in = timedelta(milliseconds=proto_values.milliseconds(request.expire_in, "expire_in"))
        asset = await self._asset(request.name)
        found = await self.renditions.get(asset, request.variant) if request.variant else None
        url, expire_time = await self.urls.sign(asset, found, expire_in=expire_in, download_name=request.download_name)
        return asset_pb2.SignedUrl(url=url, expire_time=proto_values.timestamp(expire_time))

    async def _message(self, asset: Asset) -> asset_pb2.Asset:
        entry = await self.library.find(asset.sha256, tenant=asset.tenant, user=asset.user)
        return library_messages.asset(asset, entry)

    async def _asset(self, name: str, *, also_hidden: bool = False) -> Asset:
        key = self._key(name)
        return await self.assets.get(key.sha256, tenant=key.tenant, user=key.user, also_hidden=also_hidden)


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
