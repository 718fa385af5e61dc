"""A LiveService whose answers a test writes, and the routes of live playback before it, in this process."""

import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import httpx
from i2v.v1 import job_pb2, live_pb2, live_pb2_grpc
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette

from services.rpc.channel import open_channel
from services.studio.cors import CrossOrigin
from services.studio.file_answer import FileAnswer
from services.studio.live.assembly import live_routes
from services.studio.metrics import StudioMetrics

TOKEN = f"live.WyJzdHVkaW8iLCJhbm4iXQ.{'a' * 43}"
VIDEO = "/v1/videos/video_a"
LIVE, MEDIA = f"{VIDEO}/live.m3u8?token={TOKEN}", f"{VIDEO}/live/0/video.m3u8?token={TOKEN}"


class Lives(live_pb2_grpc.LiveServiceServicer):
    """Has one job, `jobs/a`."""

    def __init__(self) -> None:
        self.live = live_pb2.Live(job="jobs/a", fps=8, size=job_pb2.Size(width=64, height=32))
        self.live.expire_time.GetCurrentTime()
        self.live.expire_time.seconds += 600
        self.bytes: dict[str, bytes] = {}
        self.finds = 0
        self.tokens: list[str] = []
        """With what the calls came."""

    def add(self, *fragments: bytes, frames: int = 4) -> None:
        for each in fragments:
            asset = f"assets/{hashlib.sha256(each).hexdigest()}"
            self.bytes[asset] = each
            index = len(self.live.fragments)
            self.live.fragments.add(index=index, asset=asset, frames=frames, size_bytes=len(each))

    async def SignLiveUrl(self, request: live_pb2.SignLiveUrlRequest, context: Any) -> live_pb2.LiveUrl:
        self._note(context)
        return live_pb2.LiveUrl(token=TOKEN)

    async def GetLive(self, request: live_pb2.GetLiveRequest, context: Any) -> live_pb2.Live:
        self.finds += 1
        self._note(context)
        return self.live

    async def ReadFragment(
        self, request: live_pb2.ReadFragmentRequest, context: Any
    ) -> AsyncIterator[live_pb2.ReadFragmentResponse]:
        self._note(context)
        data = self.bytes[request.asset][request.offset :]
        data = data[: request.length] if request.length else data
        for at in range(0, len(data), 100):
            yield live_pb2.ReadFragmentResponse(data=data[at : at + 100])

    def _note(self, context: Any) -> None:
        self.tokens.append(dict(context.invocation_metadata())["authorization"])


@dataclass
class LiveRig:
    lives: Lives
    http: httpx.AsyncClient
    registry: CollectorRegistry
    port: int
    server: grpc.aio.Server = field(repr=False)

    async def stop(self) -> None:
        await self.server.stop(None)

    async def start(self) -> None:
        """Starts the API again, at the same port."""
        self.server = grpc.aio.server()
        live_pb2_grpc.add_LiveServiceServicer_to_server(self.lives, self.server)
        assert self.server.add_insecure_port(f"127.0.0.1:{self.port}") == self.port
        await self.server.start()


@asynccontextmanager
async def live_client(
    address: str, origins: Sequence[str] = (), wait_s: float = 0.3
) -> AsyncIterator[tuple[httpx.AsyncClient, CollectorRegistry]]:
    """Yields a client of the routes of live playback before an API, and their metrics."""
    async with open_channel(address) as channel:
        registry = CollectorRegistry()
        files = FileAnswer(StudioMetrics(registry), 10)
        app = Starlette(routes=live_routes(channel, files, registry, timeout_s=10, wait_s=wait_s))
        transport = httpx.ASGITransport(CrossOrigin(app, origins))
        async with httpx.AsyncClient(transport=transport, base_url="http://studio") as http:
            yield http, registry


@asynccontextmanager
async def scripted_lives(origins: Sequence[str] = ()) -> AsyncIterator[LiveRig]:
    lives, server = Lives(), grpc.aio.server()
    live_pb2_grpc.add_LiveServiceServicer_to_server(lives, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with live_client(f"127.0.0.1:{port}", origins) as (http, registry):
        rig = LiveRig(lives, http, registry, port, server)
        try:
            yield rig
        finally:
            await rig.stop()
