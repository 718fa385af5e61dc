"""The methods of AssetService that find and edit entries of the library."""

import grpc
from i2v.v1 import asset_pb2

from services.errors import PreconditionFailed
from services.orchestrator.api import library_batch_requests, library_messages, library_requests, proto_values
from services.orchestrator.api.authentication import Authentication
from services.orchestrator.domain import library_filter
from services.orchestrator.domain.caller import Caller
from services.orchestrator.domain.library_list import LibraryList
from services.orchestrator.ports.assets import Assets
from services.orchestrator.ports.library import Library
from services.reasons import LibraryReason


class LibraryMethods:
    """A part of AssetService."""

    __slots__ = ()
    assets: Assets
    library: Library
    callers: Authentication

    async def ListAssets(
        self, request: asset_pb2.ListAssetsRequest, context: grpc.ServicerContext
    ) -> asset_pb2.ListAssetsResponse:
        """Returns a page of the caller's library."""
        caller, size, order = (
            self.callers.caller(),
            library_requests.page_size(request),
            library_requests.order(request),
        )
        which = LibraryList(
            tenant=caller.tenant,
            user=caller.user,
            filter=library_filter.parse(request.filter),
            words=library_requests.words(request),
            order=order,
            deleted=request.show_deleted,
            similar_to=await self._hash(request.similar_to, caller),
            distance_most=library_requests.distance(request),
        )
        after = library_requests.place(request, caller, order.key)
        found = await self.library.page(which, after, size + 1)
        listed = [library_messages.asset(asset, entry) for asset, entry, _ in found[:size]]
        shown = proto_values.fitting(listed)
        token = library_requests.token(found[shown - 1][2], request, caller) if len(found) > shown else ""
        return asset_pb2.ListAssetsResponse(assets=listed[:shown], next_page_token=token)

    async def GetLibraryStatistics(
        self, request: asset_pb2.GetLibraryStatisticsRequest, context: grpc.ServicerContext
    ) -> asset_pb2.LibraryStatistics:
        """Counts the caller's library."""
        caller = self.callers.caller()
        which = LibraryList(tenant=caller.tenant, user=caller.user, filter=library_filter.parse(request.filter))
        return library_messages.statistics(await self.library.statistics(which))

    async def UpdateAsset(
        self, request: asset_pb2.UpdateAssetRequest, context: grpc.ServicerContext
    ) -> asset_pb2.Asset:
        """Changes the fields of an entry that the mask names."""
        changes = library_requests.changes(request)
        revision = library_requests.revision(request.asset.etag)
        return await self._changed(request.asset.name, changes, revision, field="asset.name")

    async def BatchUpdateAssets(
        self, request: asset_pb2.BatchUpdateAssetsRequest, context: grpc.ServicerContext
    ) -> asset_pb2.BatchUpdateAssetsResponse:
        """Changes several entries, all or none."""
        which = library_batch_requests.selection(request, self.callers.caller())
        count = await self.library.change_all(which, library_batch_requests.change(request))
        return asset_pb2.BatchUpdateAssetsResponse(selected=count.selected, updated=count.updated)

    async def FavoriteAsset(
        self, request: asset_pb2.FavoriteAssetRequest, context: grpc.ServicerContext
    ) -> asset_pb2.Asset:
        """Makes an asset a favourite, or no longer."""
        return await self._changed(request.name, {"favorite": request.favorite}, None, field="name")

    async def _changed(
        self, name: str, changes: dict[str, object], revision: int | None, *, field: str
    ) -> asset_pb2.Asset:
        caller, sha256 = self.callers.caller(), proto_values.resource_id(name, "assets", field=field)
        entry = await self.library.change(sha256, changes, tenant=caller.tenant, user=caller.user, revision=revision)
        return library_messages.asset(await self.assets.get(sha256, tenant=caller.tenant, user=caller.user), entry)

    async def _hash(self, name: str, caller: Caller) -> int | None:
        if not name:
            return None
        sha256 = proto_values.resource_id(name, "assets", field="similar_to")
        found = await self.library.perceptual_hash(sha256, tenant=caller.tenant, user=caller.user)
        if found is None:
            raise PreconditionFailed(f"{name} has no perceptual hash.", reason=LibraryReason.NOT_COMPARABLE)
        return found
