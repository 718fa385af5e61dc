"""ShareService: links to assets and collections, for those who make them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import grpc
from i2v.v1 import share_pb2, share_pb2_grpc

from services.errors import NotFound
from services.orchestrator.api import page_tokens, proto_values
from services.orchestrator.api.authentication import Authentication
from services.orchestrator.assets.shares import Sharing, Wish
from services.orchestrator.domain.share import Share, ShareKey
from services.orchestrator.ports.clock_and_ids import Clock
from services.orchestrator.ports.shares import Shares
from services.reasons import LibraryReason

NUMBER_DIGITS = 18


@dataclass(frozen=True, slots=True)
class ShareService(share_pb2_grpc.ShareServiceServicer):
    """Answers the RPCs of share.proto."""

    shares: Shares
    sharing: Sharing
    callers: Authentication
    clock: Clock
    studio_url: str
    """`https://host`, how browsers reach our HTTP process; empty: they do not."""

    async def CreateShare(
        self, request: share_pb2.CreateShareRequest, context: grpc.ServicerContext
    ) -> share_pb2.Share:
        """Shares an asset or a collection."""
        caller = self.callers.caller()
        key = ShareKey(caller.tenant, caller.user, proto_values.request_id(request.request_id))
        share, token = await self.sharing.create(key, _wish(request))
        message = self._message(share)
        message.token = token
        if token and self.studio_url:
            message.url = f"{self.studio_url.rstrip('/')}/s/{token}"
        return message

    async def GetShare(self, request: share_pb2.GetShareRequest, context: grpc.ServicerContext) -> share_pb2.Share:
        """Returns a share."""
        key = self._key(request.name)
        found = await self.shares.find(key)
        if found is None:
            raise NotFound("share", f"shares/{key.id}")
        return self._message(found)

    async def ListShares(
        self, request: share_pb2.ListSharesRequest, context: grpc.ServicerContext
    ) -> share_pb2.ListSharesResponse:
        """Returns a page of the caller's shares."""
        caller, size = self.callers.caller(), proto_values.page_size(request.page_size)
        bound = ["shares", caller.tenant, caller.user, str(request.open_only)]
        before = _before(page_tokens.decode(request.page_token, bound, 1))
        open_at = self.clock.now() if request.open_only else None
        found = await self.shares.page(caller.tenant, caller.user, before, size + 1, open_at=open_at)
        token = page_tokens.encode([str(found[size - 1].number)], bound) if len(found) > size else ""
        return share_pb2.ListSharesResponse(shares=map(self._message, found[:size]), next_page_token=token)

    async def RevokeShare(
        self, request: share_pb2.RevokeShareRequest, context: grpc.ServicerContext
    ) -> share_pb2.Share:
        """Ends a share."""
        return self._message(await self.shares.revoke(self._key(request.name), self.clock.now()))

    def _key(self, name: str) -> ShareKey:
        caller = self.callers.caller()
        return ShareKey(caller.tenant, caller.user, proto_values.resource_id(name, "shares"))

    def _message(self, share: Share) -> share_pb2.Share:
        message = share_pb2.Share(
            name=f"shares/{share.key.id}",
            asset=f"assets/{share.asset}" if share.asset else "",
            collection=f"collections/{share.collection}" if share.collection else "",
            state=_state(share, is_open=share.is_open(self.clock.now())),
            has_pass_phrase=bool(share.pass_phrase),
            create_time=proto_values.timestamp(share.create_time),
            expire_time=proto_values.timestamp(share.expire_time),
            views=share.views,
            downloads=share.downloads,
        )
        for field in ("revoke_time", "view_time", "download_time"):
            if (time := getattr(share, field)) is not None:
                getattr(message, field).CopyFrom(proto_values.timestamp(time))
        return message


def _state(share: Share, *, is_open: bool) -> "share_pb2.Share.State.ValueType":
    if share.revoke_time is not None:
        return share_pb2.Share.REVOKED
    return share_pb2.Share.OPEN if is_open else share_pb2.Share.EXPIRED


def _wish(request: share_pb2.CreateShareRequest) -> Wish:
    """Returns what is asked for. Raises InvalidInput unless there is exactly one target."""
    if bool(request.asset) == bool(request.collection):
        what = "and `collection` are both " + ("given; give one" if request.asset else "missing; give one")
        raise proto_values.refuse("asset", what, LibraryReason.SHARE_TARGET_MALFORMED)
    expire_in = None
    if request.HasField("expire_in"):
        expire_in = timedelta(milliseconds=proto_values.milliseconds(request.expire_in, "expire_in"))
    return Wish(
        asset=request.asset and proto_values.resource_id(request.asset, "assets", field="asset"),
        collection=request.collection
        and proto_values.resource_id(request.collection, "collections", field="collection"),
        expire_in=expire_in,
        pass_phrase=request.pass_phrase,
    )


def _before(place: Sequence[str] | None) -> int | None:
    if place is None:
        return None
    [number] = place
    if not (number.isascii() and number.isdigit() and len(number) <= NUMBER_DIGITS):
        raise page_tokens.malformed()
    return int(number)
