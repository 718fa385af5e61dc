"""SharedAssets: what shares show, from the API. The token of a link is the credential."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from functools import partial
from typing import Any

import grpc
from i2v.v1 import shared_pb2, shared_pb2_grpc

from services.studio import api_call
from services.studio.api_error import bearer
from services.studio.api_stream import chunks


@dataclass(frozen=True, slots=True)
class Link:
    """What a reader has."""

    token: str
    unlock: str
    """What the API gave for the pass phrase; empty: nothing yet."""


class SharedAssets:
    """The calls of one channel. Each raises ApiError."""

    def __init__(self, channel: grpc.aio.Channel, timeout_s: float) -> None:
        self._stub: Any = shared_pb2_grpc.SharedServiceStub(channel)
        self._timeout_s = timeout_s

    async def unlock(self, link: Link, pass_phrase: str) -> shared_pb2.UnlockSharedResponse:
        """Returns what the other calls take as the link's `unlock`."""
        request = shared_pb2.UnlockSharedRequest(pass_phrase=pass_phrase)
        found: shared_pb2.UnlockSharedResponse = await self._call(link, "UnlockShared", request)
        return found

    async def shown(self, link: Link, page_token: str, page_size: int) -> shared_pb2.Shared:
        """Returns what is shared, or a page of it."""
        request = shared_pb2.GetSharedRequest(unlock=link.unlock, page_token=page_token, page_size=page_size)
        found: shared_pb2.Shared = await self._call(link, "GetShared", request)
        return found

    async def file(self, link: Link, digest: str, variant: str) -> shared_pb2.SharedFile:
        """Returns what is known of an asset, or of its variant."""
        request = shared_pb2.GetSharedFileRequest(unlock=link.unlock, asset=f"assets/{digest}", variant=variant)
        found: shared_pb2.SharedFile = await self._call(link, "GetSharedFile", request)
        return found

    def read(self, link: Link, digest: str, variant: str, offset: int, length: int) -> AsyncGenerator[bytes, None]:
        """Yields the bytes from an offset."""
        request = shared_pb2.ReadSharedRequest(
            unlock=link.unlock, asset=f"assets/{digest}", variant=variant, offset=offset, length=length
        )
        return chunks(partial(self._stub.ReadShared, request, metadata=bearer(link.token)))

    async def _call(self, link: Link, method: str, request: Any) -> Any:
        return await api_call.answer(getattr(self._stub, method), request, bearer(link.token), self._timeout_s)
