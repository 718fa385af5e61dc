"""Live playback out of its parts."""

from functools import partial

import grpc
from i2v.v1 import live_pb2
from prometheus_client import CollectorRegistry
from starlette.routing import Route

from services.studio.file_answer import FileAnswer
from services.studio.live.boxes import UnplayableError
from services.studio.live.fragment_heads import FragmentHeads
from services.studio.live.live_calls import LiveCalls
from services.studio.live.live_metrics import LiveMetrics
from services.studio.live.live_routes import LiveRoutes
from services.studio.live.live_views import WAIT_S, LiveViews
from services.studio.live.takes import Fragment


def live_routes(
    channel: grpc.aio.Channel,
    files: FileAnswer,
    registry: CollectorRegistry,
    *,
    timeout_s: float,
    wait_s: float = WAIT_S,
) -> list[Route]:
    """Returns what is answered. Players wait `wait_s` for a first fragment."""
    calls, metrics = LiveCalls(channel, timeout_s), LiveMetrics(registry)

    async def find(token: str) -> live_pb2.Live:
        metrics.lookups.inc()
        return await calls.find(token)

    heads = FragmentHeads()

    async def header(token: str, fragment: Fragment) -> bytes:
        try:
            return (await heads.of(fragment, partial(calls.begin, token))).init
        except UnplayableError:
            return b""  # counted and said when a player asks for it

    return LiveRoutes(calls, LiveViews(find, header, wait_s=wait_s), heads, files, metrics).routes()
