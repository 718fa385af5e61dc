"""SharedService: what a share shows. Its token is the credential of the call."""

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime

import grpc
from i2v.v1 import shared_pb2, shared_pb2_grpc

from services.orchestrator.api import page_tokens, proto_values
from services.orchestrator.api.asset_range import read_range
from services.orchestrator.api.credential import ShareCredential
from services.orchestrator.assets.read_counts import ReadCounts
from services.orchestrator.assets.shared_links import SharedLinks
from services.orchestrator.domain.share import Share
from services.orchestrator.domain.shared import SharedAsset, SharedPlace
from services.orchestrator.ports.blobs import Blobs
from services.rpc.auth import principal

NUMBER_DIGITS = 18


@dataclass(frozen=True, slots=True)
class SharedService(shared_pb2_grpc.SharedServiceServicer):
    """Answers the RPCs of shared.proto."""

    links: SharedLinks
    blobs: Blobs
    counts: ReadCounts

    async def UnlockShared(
        self, request: shared_pb2.UnlockSharedRequest, context: grpc.ServicerContext
    ) -> shared_pb2.UnlockSharedResponse:
        """Checks a pass phrase."""
        unlock, expire_time = await self.links.unlock(_share(), request.pass_phrase)
        return shared_pb2.UnlockSharedResponse(unlock=unlock, expire_time=proto_values.timestamp(expire_time))

    async def GetShared(self, request: shared_pb2.GetSharedRequest, context: grpc.ServicerContext) -> shared_pb2.Shared:
        """Returns what is shared, or a page of it."""
        share, size = _share(), proto_values.page_size(request.page_size)
        bound = ["shared", share.key.id]
        after = _place(page_tokens.decode(request.page_token, bound, 2))
        found = await self.links.page(share, request.unlock, after, size + 1)
        if not request.page_token:
            self.counts.viewed(share.number)
        shown, more = found.assets[:size], len(found.assets) > size
        last = [shown[-1].place.add_time.isoformat(), str(shown[-1].place.entry)] if more else []
        return shared_pb2.Shared(
            title=found.title,
            collection=bool(share.collection),
            asset_count=found.asset_count,
            assets=map(_message, shown),
            next_page_token=page_tokens.encode(last, bound) if more else "",
            expire_time=proto_values.timestamp(share.expire_time),
        )

    async def GetSharedFile(
        self, request: shared_pb2.GetSharedFileRequest, context: grpc.ServicerContext
    ) -> shared_pb2.SharedFile:
        """Returns what is known of a file."""
        sha256 = proto_values.resource_id(request.asset, "assets", field="asset")
        found, rendition = await self.links.file(_share(), request.unlock, sha256, request.variant)
        return shared_pb2.SharedFile(
            asset=_message(found),
            variant=request.variant,
            media_type=rendition.media_type if rendition else found.asset.info.media_type,
            size_bytes=rendition.size_bytes if rendition else found.asset.size_bytes,
        )

    async def ReadShared(
        self, request: shared_pb2.ReadSharedRequest, context: grpc.ServicerContext
    ) -> AsyncIterator[shared_pb2.ReadSharedResponse]:
        """Streams the bytes of a file."""
        share, sha256 = _share(), proto_values.resource_id(request.asset, "assets", field="asset")
        found, rendition = await self.links.file(share, request.unlock, sha256, request.variant)
        read = read_range(
            self.blobs, self.counts, found.asset, rendition, request.offset, request.length, share=share.number
        )
        async with aclosing(read) as chunks:
            async for chunk in chunks:
                yield shared_pb2.ReadSharedResponse(data=chunk)


def _share() -> Share:
    credential = principal().credential
    assert isinstance(credential, ShareCredential), "the access rule lets no other pass"
    return credential.share


def _place(place: Sequence[str] | None) -> SharedPlace | None:
    """Returns the place in a page token, which its holder may have altered. Raises InvalidInput."""
    if place is None:
        return None
    time, entry = place
    try:
        add_time = datetime.fromisoformat(time)
    except ValueError:
        raise page_tokens.malformed() from None
    if add_time.tzinfo is None or not (entry.isascii() and entry.isdigit() and len(entry) <= NUMBER_DIGITS):
        raise page_tokens.malformed()
    return SharedPlace(add_time, int(entry))


def _message(shown: SharedAsset) -> shared_pb2.SharedAsset:
    known = proto_values.asset(shown.asset)
    message = shared_pb2.SharedAsset(
        name=known.name, title=shown.title, media_type=known.media_type, size_bytes=known.size_bytes
    )
    if known.HasField("size"):
        message.size.CopyFrom(known.size)
    if known.HasField("duration"):
        message.duration.CopyFrom(known.duration)
    return message
