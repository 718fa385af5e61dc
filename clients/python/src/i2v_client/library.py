"""The library of a user: what people see of assets. Uploads and downloads are methods of the client itself."""

from collections.abc import AsyncGenerator, Iterable

from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from i2v.v1 import asset_pb2, asset_pb2_grpc

from i2v_client import pages
from i2v_client.service_channel import ServiceChannel


class Library:
    """Entries of the library. Every method raises I2VError."""

    def __init__(self, channel: ServiceChannel) -> None:
        self._channel = channel
        self._assets = asset_pb2_grpc.AssetServiceStub(channel.grpc)

    def assets(
        self,
        *,
        filter: str = "",
        words: str = "",
        order: str = "",
        similar_to: str = "",
        deleted: bool = False,
        page_size: int = 100,
    ) -> AsyncGenerator[asset_pb2.Asset, None]:
        """Yields assets, the newest first or, with `words` to search for, the most relevant.

        `filter` is such as `type = video AND tags:cat`, `order` such as `size desc`; `similar_to` names an asset.
        """
        order = order or ("relevance desc" if words else "")
        request = asset_pb2.ListAssetsRequest(
            filter=filter,
            query=words,
            order_by=order,
            similar_to=similar_to,
            show_deleted=deleted,
            page_size=page_size,
        )
        return pages.each(self._channel.call, self._assets.ListAssets, request, "assets")

    async def get(self, name: str, *, deleted: bool = False) -> asset_pb2.Asset:
        """Returns what the library says of an asset, with `deleted` also of one in the trash."""
        request = asset_pb2.GetAssetRequest(name=name, show_deleted=deleted)
        return await self._channel.call(self._assets.GetAsset, request)

    async def update(self, asset: asset_pb2.Asset, fields: Iterable[str]) -> asset_pb2.Asset:
        """Changes fields, such as `details.title` and `rating`, to the values that they have in `asset`.

        Raises Conflict if the asset has an `etag` and was changed since.
        """
        request = asset_pb2.UpdateAssetRequest(asset=asset, update_mask=FieldMask(paths=fields))
        return await self._channel.call(self._assets.UpdateAsset, request)

    async def favorite(self, name: str, favorite: bool = True) -> asset_pb2.Asset:
        """Makes an asset a favourite, or none."""
        request = asset_pb2.FavoriteAssetRequest(name=name, favorite=favorite)
        return await self._channel.call(self._assets.FavoriteAsset, request)

    async def delete(self, name: str, *, etag: str = "", permanent: bool = False) -> asset_pb2.Asset:
        """Puts an asset into the trash, or deletes it for good. Raises Conflict if it was changed since `etag`."""
        request = asset_pb2.DeleteAssetRequest(name=name, etag=etag, permanent=permanent)
        return await self._channel.call(self._assets.DeleteAsset, request)

    async def restore(self, name: str) -> asset_pb2.Asset:
        """Takes an asset out of the trash."""
        return await self._channel.call(self._assets.RestoreAsset, asset_pb2.RestoreAssetRequest(name=name))

    async def statistics(self, filter: str = "") -> asset_pb2.LibraryStatistics:
        """Returns the numbers, sizes and costs of assets by type, module and month."""
        request = asset_pb2.GetLibraryStatisticsRequest(filter=filter)
        return await self._channel.call(self._assets.GetLibraryStatistics, request)

    async def sign_url(
        self, name: str, *, expire_in_s: float | None = None, download_name: str = "", variant: str = ""
    ) -> asset_pb2.SignedUrl:
        """Returns a URL that whoever has it may read until it expires."""
        request = asset_pb2.SignUrlRequest(
            name=name, method=asset_pb2.SignUrlRequest.METHOD_GET, download_name=download_name, variant=variant
        )
        if expire_in_s is not None:
            expire_in = Duration()
            expire_in.FromMilliseconds(round(expire_in_s * 1000))
            request.expire_in.CopyFrom(expire_in)
        return await self._channel.call(self._assets.SignUrl, request)
