"""LiveCalls: the calls of the API for live playback. The token of a live URL is the credential of all but the first."""

from collections.abc import AsyncGenerator
from functools import partial
from typing import Any

import grpc
from i2v.v1 import live_pb2, live_pb2_grpc

from services.studio import api_call
from services.studio.api_error import bearer
from services.studio.api_stream import chunks
from services.studio.caller import Caller


class LiveCalls:
    """The calls of one channel. Each raises ApiError."""

    def __init__(self, channel: grpc.aio.Channel, timeout_s: float) -> None:
        self._stub: Any = live_pb2_grpc.LiveServiceStub(channel)
        self._timeout_s = timeout_s

    async def sign(self, caller: Caller, job: str) -> str:
        """Returns a token of a job, `jobs/{id}`."""
        signed = await self._call(self._stub.SignLiveUrl, caller.metadata, live_pb2.SignLiveUrlRequest(name=job))
        return str(signed.token)

    async def find(self, token: str) -> live_pb2.Live:
        """Returns the fragments of the token's job."""
        found: live_pb2.Live = await self._call(self._stub.GetLive, bearer(token), live_pb2.GetLiveRequest())
        return found

    async def begin(self, token: str, sha256: str, length: int) -> bytes:
        """Returns the first bytes of a fragment, at most so many."""
        return b"".join([chunk async for chunk in self.read(token, sha256, 0, length)])

    def read(self, token: str, sha256: str, offset: int, length: int) -> AsyncGenerator[bytes, None]:
        """Yields the bytes of a fragment from an offset."""
        request = live_pb2.ReadFragmentRequest(asset=f"assets/{sha256}", offset=offset, length=length)
        return chunks(partial(self._stub.ReadFragment, request, metadata=bearer(token)))

    async def _call(self, method: Any, metadata: Any, request: Any) -> Any:
        return await api_call.answer(method, request, metadata, self._timeout_s)
