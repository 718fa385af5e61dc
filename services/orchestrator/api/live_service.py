"""LiveService: a job's video while it is made. A live URL's token is the credential of the calls that read."""

import re
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta

import grpc
from i2v.v1 import job_pb2, live_pb2, live_pb2_grpc

from services.orchestrator.api import proto_values
from services.orchestrator.api.asset_range import read_range
from services.orchestrator.api.authentication import Authentication
from services.orchestrator.api.credential import LiveUrlCredential
from services.orchestrator.assets.live_videos import LiveVideos
from services.orchestrator.domain.live_url import LiveUrl
from services.orchestrator.ports.blobs import Blobs
from services.reasons import RequestReason
from services.rpc import logs
from services.rpc.auth import principal

FRAGMENT = re.compile(r"assets/([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class LiveService(live_pb2_grpc.LiveServiceServicer):
    """Answers the RPCs of live.proto."""

    videos: LiveVideos
    blobs: Blobs
    callers: Authentication

    async def SignLiveUrl(
        self, request: live_pb2.SignLiveUrlRequest, context: grpc.ServicerContext
    ) -> live_pb2.LiveUrl:
        """Returns a URL of a job."""
        job_id, caller, expire_in = proto_values.resource_id(request.name, "jobs"), self.callers.caller(), None
        logs.bind(job_id=job_id)
        if request.HasField("expire_in"):
            expire_in = timedelta(milliseconds=proto_values.milliseconds(request.expire_in, "expire_in"))
        signed = await self.videos.sign(job_id, tenant=caller.tenant, user=caller.user, expire_in=expire_in)
        url, token, expire_time = signed
        return live_pb2.LiveUrl(url=url, token=token, expire_time=proto_values.timestamp(expire_time))

    async def GetLive(self, request: live_pb2.GetLiveRequest, context: grpc.ServicerContext) -> live_pb2.Live:
        """Returns the fragments of the token's job."""
        url = _url()
        found = await self.videos.find(url)
        live = live_pb2.Live(
            job=f"jobs/{found.job.id}",
            ended=found.job.state.ended,
            expire_time=proto_values.timestamp(url.expire_time),
            fragments=[
                live_pb2.LiveFragment(
                    index=each.index, asset=f"assets/{each.asset}", frames=each.frames, size_bytes=each.size_bytes
                )
                for each in found.announced
            ],
        )
        if found.info is not None:
            live.size.CopyFrom(job_pb2.Size(width=found.info.width, height=found.info.height))
            live.fps = found.info.fps
        return live

    async def ReadFragment(
        self, request: live_pb2.ReadFragmentRequest, context: grpc.ServicerContext
    ) -> AsyncIterator[live_pb2.ReadFragmentResponse]:
        """Streams the bytes of a fragment."""
        named = FRAGMENT.fullmatch(request.asset)
        if named is None:
            what = f"is {request.asset[:200]!r}; it looks like `assets/…`"
            raise proto_values.refuse("asset", what, RequestReason.NAME_MALFORMED)
        asset = await self.videos.fragment(_url(), named[1])
        # Not counted as a download of the library, where no fragment is.
        async with aclosing(read_range(self.blobs, None, asset, None, request.offset, request.length)) as chunks:
            async for chunk in chunks:
                yield live_pb2.ReadFragmentResponse(data=chunk)


def _url() -> LiveUrl:
    credential = principal().credential
    assert isinstance(credential, LiveUrlCredential), "the access rule lets no other pass"
    logs.bind(job_id=credential.url.job_id)
    return credential.url
