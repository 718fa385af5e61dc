"""The assembly: a running HTTP process out of its settings."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

import uvicorn
from prometheus_client import REGISTRY, CollectorRegistry
from starlette.applications import Starlette
from starlette.routing import Route

from services.cannot_listen import CannotListenError
from services.certificates.metrics import CertificateMetrics
from services.certificates.watch import watch as watch_certificates
from services.metrics.endpoint import serve_metrics
from services.readiness import Readiness
from services.rpc.channel import open_channel
from services.rpc.client_metrics import ClientMetrics
from services.studio.connection_limit import ConnectionLimit
from services.studio.cors import CrossOrigin
from services.studio.file_answer import FileAnswer
from services.studio.framing import Framed
from services.studio.http_connection import connections
from services.studio.live.assembly import live_routes
from services.studio.media import Media
from services.studio.metrics import Counted, StudioMetrics
from services.studio.openapi.description_routes import Descriptions
from services.studio.pages.page_files import page_files
from services.studio.pages.start_page import StartPage
from services.studio.request_body import Bodies
from services.studio.resource import Resource
from services.studio.resources.bindings import BINDINGS
from services.studio.resources.calls import Calls
from services.studio.resources.routes import routes as resource_routes
from services.studio.sessions.session_calls import SessionCalls
from services.studio.sessions.sign_in_pages import SignInPages
from services.studio.settings import Settings
from services.studio.share_pages import SharePages
from services.studio.shared_assets import SharedAssets
from services.studio.signed_assets import SignedAssets
from services.studio.socket.assembly import socket_io
from services.studio.socket.server import MESSAGE_BYTES_MOST
from services.studio.socket.web_socket import WebSocket
from services.studio.streams.api import StreamApi
from services.studio.streams.download_routes import DownloadRoutes
from services.studio.streams.event_routes import EventRoutes
from services.studio.streams.open_streams import OpenStreams
from services.studio.streams.routes import StreamRoutes
from services.studio.streams.upload_routes import UploadRoutes
from services.studio.tls_context import server_context
from services.studio.tracing import Traced
from services.studio.videos.api import Api
from services.studio.videos.video_routes import VideoRoutes
from services.tracing import spans

log = logging.getLogger(__name__)

RECONNECT = (("grpc.initial_reconnect_backoff_ms", 200), ("grpc.max_reconnect_backoff_ms", 2000))
"""gRPC waits for up to two minutes: so long after its restart the API would still seem to be away."""


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leaves the signals to `run_process`."""
        yield


@dataclass(frozen=True, slots=True)
class App:
    """A running HTTP process."""

    port: int
    metrics_port: int
    """0: there are none."""
    serving: asyncio.Task[None]
    routes: tuple[Route, ...] = ()
    """What it answers."""


async def ended(app: App) -> None:
    """Returns when the server has ended, or raises why."""
    await asyncio.shield(app.serving)


@asynccontextmanager
async def open_app(
    settings: Settings,
    *,
    readiness: Readiness | None = None,
    registry: CollectorRegistry = REGISTRY,
) -> AsyncIterator[App]:
    """Starts the HTTP process; leaving the block drains and stops it. It is ready as soon as it has started.

    Raises:
        CannotListenError: an address is taken, or cannot be had.
    """
    async with AsyncExitStack() as stack:
        metrics_port = 0
        if settings.metrics_listen:
            metrics_port, close_metrics = serve_metrics(settings.metrics_listen, registry)
            stack.callback(close_metrics)
        certificates = CertificateMetrics(registry)
        certificate, of_api = settings.server_certificate(certificates), settings.api_certificates(certificates)
        watch_certificates(stack, [certificate, of_api])
        channel = await stack.enter_async_context(
            open_channel(settings.api, RECONNECT, tls=of_api, metrics=ClientMetrics(registry))
        )
        metrics = StudioMetrics(registry)
        files = FileAnswer(metrics, settings.stall_s)
        media = Media(SignedAssets(channel, settings.api_timeout_s), files)
        pages = SharePages(SharedAssets(channel, settings.api_timeout_s), files)
        bodies = Bodies()
        videos = VideoRoutes(Api(channel, settings.api_timeout_s), files, bodies)
        calls = Calls(channel, BINDINGS, settings.api_timeout_s)
        open_streams = OpenStreams(settings.event_streams, settings.caller_event_streams, metrics)
        stream_api, stall_s = StreamApi(channel, settings.api_timeout_s), settings.stall_s
        resumed = metrics.streams_resumed.inc
        streams = StreamRoutes(
            EventRoutes(stream_api, open_streams, resumed, stall_s, settings.api_away_s),
            UploadRoutes(stream_api, calls.check, metrics, stall_s),
            DownloadRoutes(stream_api, files),
        )
        live = live_routes(channel, files, registry, timeout_s=settings.api_timeout_s)
        sessions, cookie = SessionCalls(channel, settings.api_timeout_s), settings.session_cookie()
        page = page_files()
        routes = [
            Route("/media/{token}", media.answer, methods=["GET"]),
            *pages.routes(),
            *live,
            *videos.routes(),
            *Descriptions().routes(),
            *resource_routes(BINDINGS, calls, bodies, settings.stall_s),
            *streams.routes(),
            *(Route(path, Resource({})) for path in ("/v1", "/v1/{path:path}")),
            *SignInPages(sessions, cookie, metrics).routes(),
            *page.routes(),
            *StartPage(sessions, cookie, page.page).routes(),
        ]
        app = Starlette(routes=routes)
        app.state.session_cookie = cookie
        app.router.redirect_slashes = False  # an address that it makes has the host that the client claims

        def connected() -> int:
            return len(server.server_state.connections)

        framed = Framed(CrossOrigin(app, settings.origins()))
        counted = Counted(ConnectionLimit(framed, settings.max_connections, connected, cookie), metrics)
        others = Traced(counted) if spans.is_on() else counted
        endpoint, sockets = socket_io(channel, settings, bodies, registry, others)
        listener = stack.enter_context(_listener(settings.listen))
        server = _Server(
            uvicorn.Config(
                endpoint,
                http=connections(settings.stall_s),
                ws=WebSocket,
                ws_max_size=MESSAGE_BYTES_MOST,
                ws_ping_interval=None,  # Socket.IO has its own
                ws_per_message_deflate=False,  # a message may grow a thousand times
                lifespan="off",
                interface="asgi3",
                log_config=None,
                access_log=False,  # the URLs are credentials
                proxy_headers=False,
                server_header=False,
                timeout_graceful_shutdown=settings.drain_s,
                ssl_context_factory=partial(server_context, certificate) if certificate is not None else None,
            )
        )
        serving = asyncio.create_task(server.serve([listener]), name="http")

        async def stop() -> None:
            open_streams.stop()
            await sockets.close()
            server.should_exit = True
            await asyncio.wait({serving})

        stack.push_async_callback(stop)
        stack.push_async_callback(asyncio.sleep, settings.drain_delay_s)
        port = int(listener.getsockname()[1])
        log.info("ready", extra={"port": port, "metrics_port": metrics_port})
        yield App(port, metrics_port, serving, tuple(routes))
        log.info("stopping")


def _listener(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    try:
        return socket.create_server((host, int(port)), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except (OSError, OverflowError) as error:
        raise CannotListenError(f"cannot listen on {address}: {error}") from error
