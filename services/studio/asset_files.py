"""AssetFiles: what is known of assets and their variants, and their bytes, with the credential of whoever calls."""

from collections.abc import AsyncGenerator
from functools import partial
from typing import Any

import grpc
from i2v.v1 import asset_pb2, asset_pb2_grpc

from services.studio import api_call
from services.studio.api_stream import chunks
from services.studio.caller import Caller

MADE_S = 60.0
"""Seconds in which a variant of an asset is made."""


class AssetFiles:
    """The calls of one channel. Each raises ApiError."""

    def __init__(self, channel: grpc.aio.Channel, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._assets: Any = asset_pb2_grpc.AssetServiceStub(channel)

    async def asset(self, who: Caller, name: str) -> asset_pb2.Asset:
        """Returns the properties of an asset."""
        request = asset_pb2.GetAssetRequest(name=name)
        found: asset_pb2.Asset = await api_call.answer(self._assets.GetAsset, request, who.metadata, self._timeout_s)
        return found

    async def rendition(self, who: Caller, name: str, variant: str) -> asset_pb2.Rendition:
        """Returns the properties of a variant of an asset; makes it first if it is missing."""
        request = asset_pb2.GetRenditionRequest(name=name, variant=variant)
        found: asset_pb2.Rendition = await api_call.answer(self._assets.GetRendition, request, who.metadata, MADE_S)
        return found

    def read(self, who: Caller, name: str, variant: str, offset: int, length: int) -> AsyncGenerator[bytes, None]:
        """Yields the bytes of an asset, or of a variant, from an offset."""
        request = asset_pb2.ReadAssetRequest(name=name, variant=variant, offset=offset, length=length)
        return chunks(partial(self._assets.ReadAsset, request, metadata=who.metadata))
