"""SignedAssets: what signed URLs name, from the API. The token of a URL is the credential."""

from collections.abc import AsyncGenerator
from functools import partial
from typing import Any

import grpc
from i2v.v1 import signed_asset_pb2, signed_asset_pb2_grpc

from services.studio import api_call
from services.studio.api_error import bearer
from services.studio.api_stream import chunks


class SignedAssets:
    """The calls of one channel."""

    def __init__(self, channel: grpc.aio.Channel, timeout_s: float) -> None:
        self._stub: Any = signed_asset_pb2_grpc.SignedAssetServiceStub(channel)
        self._timeout_s = timeout_s

    async def find(self, token: str) -> signed_asset_pb2.SignedAsset:
        """Returns what a token names. Raises ApiError."""
        request = signed_asset_pb2.GetSignedRequest()
        found: signed_asset_pb2.SignedAsset = await api_call.answer(
            self._stub.GetSigned, request, bearer(token), self._timeout_s
        )
        return found

    def read(self, token: str, offset: int, length: int) -> AsyncGenerator[bytes, None]:
        """Yields the bytes from an offset. Raises ApiError."""
        request = signed_asset_pb2.ReadSignedRequest(offset=offset, length=length)
        return chunks(partial(self._stub.ReadSigned, request, metadata=bearer(token)))
