"""SignedAssets: what signed URLs name, from the API. The token of a URL is the credential."""

from collections.abc import AsyncGenerator
from functools import partial
from typing import Any

import grpc
from i2v.v1 import signed_asset_pb2, signed_asset_pb2_grpc

from services.rpc.status_codes import from_call
from services.studio.api_error import ApiError, bearer
from services.studio.api_stream import chunks


class SignedAssets:
    """The calls of one channel."""

    def __init__(self, channel: grpc.aio.Channel, timeout_s: float) -> None:
        self._stub: Any = signed_asset_pb2_grpc.SignedAssetServiceStub(channel)
        self._timeout_s = timeout_s

    async def find(self, token: str) -> signed_asset_pb2.SignedAsset:
        """Returns what a token names. Raises ApiError."""
        request = signed_asset_pb2.GetSignedRequest()
        try:
            found: signed_asset_pb2.SignedAsset = await self._stub.GetSigned(
                request, metadata=bearer(token), timeout=self._timeout_s
            )
        except grpc.aio.AioRpcError as error:
            raise ApiError(from_call(error)) from error
        return found

    def read(self, token: str, offset: int, length: int) -> AsyncGenerator[bytes, None]:
        """Yields the bytes from an offset. Raises ApiError."""
        request = signed_asset_pb2.ReadSignedRequest(offset=offset, length=length)
        return chunks(partial(self._stub.ReadSigned, request, metadata=bearer(token)))
