"""Socket.IO out of its parts."""

import grpc
from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp

from services.studio.request_body import Bodies
from services.studio.settings import Settings
from services.studio.socket.endpoint import Endpoint
from services.studio.socket.frames import Frames
from services.studio.socket.socket_metrics import SocketMetrics
from services.studio.socket.sockets import Sockets
from services.studio.streams.api import StreamApi
from services.studio.videos.api import Api


def socket_io(
    channel: grpc.aio.Channel, settings: Settings, bodies: Bodies, registry: CollectorRegistry, others: ASGIApp
) -> tuple[Endpoint, Sockets]:
    """Returns what serves it, and all other paths by another application; and what is to be closed."""
    metrics, stream_api = SocketMetrics(registry), StreamApi(channel, settings.api_timeout_s)
    sockets = Sockets(
        Api(channel, settings.api_timeout_s),
        stream_api,
        Frames(stream_api, settings.frame_threads, metrics),
        metrics,
        origins=settings.origins(),
        cookie=settings.session_cookie(),
        caller_sockets=settings.caller_sockets,
        away_s=settings.api_away_s,
    )
    return Endpoint(sockets.server, bodies, settings.sockets, others), sockets
