"""SignedAssetService: what the token of a signed URL names. The token is the credential of the call."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass

import grpc
from i2v.v1 import signed_asset_pb2, signed_asset_pb2_grpc

from services.orchestrator.api import proto_values
from services.orchestrator.api.asset_range import read_range
from services.orchestrator.api.credential import SignedUrlCredential
from services.orchestrator.assets.read_counts import ReadCounts
from services.orchestrator.assets.renditions import OnDemandRenditions
from services.orchestrator.domain.asset import Asset
from services.orchestrator.domain.rendition import Rendition
from services.orchestrator.domain.signed_url import SignedUrl
from services.orchestrator.ports.assets import Assets
from services.orchestrator.ports.blobs import Blobs
from services.rpc.auth import principal


@dataclass(frozen=True, slots=True)
class SignedAssetService(signed_asset_pb2_grpc.SignedAssetServiceServicer):
    """Answers the RPCs of signed_asset.proto."""

    assets: Assets
    renditions: OnDemandRenditions
    blobs: Blobs
    counts: ReadCounts

    async def GetSigned(
        self, request: signed_asset_pb2.GetSignedRequest, context: grpc.ServicerContext
    ) -> signed_asset_pb2.SignedAsset:
        """Returns what the token names."""
        url = _url()
        asset, rendition = await self._named(url)
        return signed_asset_pb2.SignedAsset(
            name=f"assets/{asset.sha256}",
            variant=url.variant,
            media_type=rendition.media_type if rendition else asset.info.media_type,
            size_bytes=rendition.size_bytes if rendition else asset.size_bytes,
            download_name=url.download_name,
            expire_time=proto_values.timestamp(url.expire_time),
        )

    async def ReadSigned(
        self, request: signed_asset_pb2.ReadSignedRequest, context: grpc.ServicerContext
    ) -> AsyncIterator[signed_asset_pb2.ReadSignedResponse]:
        """Streams its bytes."""
        asset, rendition = await self._named(_url())
        read = read_range(self.blobs, self.counts, asset, rendition, request.offset, request.length)
        async with aclosing(read) as chunks:
            async for chunk in chunks:
                yield signed_asset_pb2.ReadSignedResponse(data=chunk)

    async def _named(self, url: SignedUrl) -> tuple[Asset, Rendition | None]:
        """Returns the asset, and the rendition if the URL is of one. Raises NotFound."""
        asset = await self.assets.get(url.sha256, tenant=url.tenant, user=url.user)
        return asset, await self.renditions.get(asset, url.variant) if url.variant else None


def _url() -> SignedUrl:
    credential = principal().credential
    assert isinstance(credential, SignedUrlCredential), "the access rule lets no other pass"
    return credential.url
