"""Composes one vendor's process: the only file that connects the parts."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlsplit

from i2v.provider.v1 import provider_pb2_grpc
from prometheus_client import REGISTRY, CollectorRegistry

from services.cannot_listen import CannotListenError
from services.certificates.metrics import CertificateMetrics
from services.certificates.watch import watch as watch_certificates
from services.file_permissions import restrict_permissions
from services.live_secret import LiveSecret
from services.metrics.endpoint import serve_metrics
from services.outbound.destinations import Destinations
from services.providers.account_status import AccountStatus
from services.providers.circuit_breaker import CircuitBreaker
from services.providers.metrics import VendorMeter, VendorMetrics
from services.providers.provider_service import NAME, STREAMS, Parts, ProviderService
from services.providers.settings import Settings
from services.providers.submissions import Submissions
from services.providers.system_clock import Clock, system_clock
from services.providers.task_events import TaskEvents
from services.providers.task_failures import MISSING_S
from services.providers.task_inputs import FOLDER
from services.providers.task_polling import PollSchedule
from services.providers.task_request import TaskRequests
from services.providers.task_wakeups import TaskWakeups
from services.providers.vendor import Vendor
from services.providers.vendor_client import RequestTimeouts, VendorClient
from services.providers.vendors import VENDORS, Entry, Options
from services.providers.video_download import Downloader, DownloadLimits
from services.providers.webhook_server import WebhookServer
from services.providers.webhook_verification import Webhooks
from services.readiness import Readiness
from services.rpc import auth
from services.rpc.concurrent_call_limits import CallLimits
from services.rpc.server import RpcServer, serve
from services.scratch_folder import Scratch, keep_sweeping, sweep_unlocked

log = logging.getLogger(__name__)

CALLER = "orchestrator"
GRACE_S = 1.0


@dataclass(frozen=True, slots=True)
class App:
    """A running provider."""

    server: RpcServer
    metrics_port: int
    webhook_port: int | None


@asynccontextmanager
async def open_app(
    vendor: str,
    settings: Settings,
    *,
    readiness: Readiness | None = None,
    registry: CollectorRegistry = REGISTRY,
    clock: Clock = system_clock,
    missing_s: float = MISSING_S,
) -> AsyncIterator[App]:
    """Starts the provider of a vendor; at the end of the block it completes submissions, drains and stops.

    `missing_s` is how long the vendor must deny a task before it counts as gone. It is ready as soon as it has started.
    """
    entry = VENDORS[vendor]
    async with AsyncExitStack() as stack:
        meter = VendorMeter(VendorMetrics(registry), vendor)
        breaker = CircuitBreaker(clock, meter, failures=settings.breaker_failures, rest_s=settings.breaker_s)
        certificates = CertificateMetrics(registry)
        certificate = settings.server_certificate(certificates)
        watch_certificates(stack, [certificate])
        key = LiveSecret("KEY_FILE", settings.key_file, settings.key.get_secret_value()).text
        access = LiveSecret("ACCESS_KEY_FILE", settings.access_key_file, settings.access_key.get_secret_value()).text
        account = AccountStatus(clock, key)
        vendor_client = await stack.enter_async_context(_vendor_client(entry, settings, key, meter, clock))
        vendor_api = entry.open(vendor_client, _options(settings, missing_s))
        submissions, wakeups = Submissions(vendor_api, breaker, account, meter), TaskWakeups()
        downloader = _downloader(entry, settings, meter)
        stack.push_async_callback(downloader.close)
        await asyncio.to_thread(restrict_permissions, settings.data, "process-*", f"{FOLDER}*")
        scratch = await asyncio.to_thread(Scratch, settings.data)
        stack.callback(scratch.close)
        sweeping = keep_sweeping(scratch.sweep, partial(sweep_unlocked, settings.data, FOLDER))
        stack.push_async_callback(_ended, asyncio.create_task(sweeping, name="sweep"))
        schedule = PollSchedule(
            look_every_s=settings.look_every_s,
            look_seldom_s=settings.look_seldom_s,
            longest_pause_s=settings.longest_pause_s,
            watch_s=settings.watch_s,
            long_watch_s=settings.long_watch_s,
        )
        events = TaskEvents(
            vendor=vendor_api,
            schedule=schedule,
            clock=clock,
            meter=meter,
            breaker=breaker,
            downloader=downloader,
            wakeups=wakeups,
        )
        parts = Parts(
            vendor=vendor_api,
            simulation=settings.simulation,
            clock=clock,
            meter=meter,
            breaker=breaker,
            account=account,
            requests=TaskRequests(vendor_api, scratch.path),
            submissions=submissions,
            events=events,
            wakeups=wakeups,
        )
        service = ProviderService(parts)
        metrics_port, close_metrics = serve_metrics(settings.metrics_listen, registry)
        stack.callback(close_metrics)
        webhook_port = await _webhooks(vendor_api, settings, clock, wakeups, submissions, meter, schedule, stack)
        server = await serve(
            settings.listen,
            [lambda server: provider_pb2_grpc.add_ProviderServiceServicer_to_server(service, server)],
            services=(NAME,),
            registry=registry,
            verify=auth.one_key(access, CALLER) if access() else None,
            endless=STREAMS,
            # The service itself limits the size of a request: only it can say that nothing was submitted.
            limits=CallLimits(
                calls=settings.max_calls, connection_calls=settings.max_calls + 100, first_message_s=60.0
            ),
            tls=certificate,
        )
        stack.push_async_callback(server.drain, GRACE_S)
        stack.push_async_callback(service.settle, settings.settle_s)
        stack.push_async_callback(asyncio.sleep, settings.drain_delay_s)
        stack.push_async_callback(server.set_serving, False)
        fields = {"vendor": vendor, "port": server.port, "simulation": settings.simulation}
        log.info("ready", extra={**fields, "metrics_port": metrics_port, "webhook_port": webhook_port})
        yield App(server, metrics_port, webhook_port)
        log.info("stopping", extra=fields)


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def _vendor_client(
    entry: Entry, settings: Settings, key: Callable[[], str], meter: VendorMeter, clock: Clock
) -> VendorClient:
    url = settings.url or entry.url
    own = [_host(each) for each in (url, settings.upload_url) if each]
    # A simulator takes uploads itself; so nothing is sent to the real vendor by mistake.
    others = () if settings.url else entry.upload_hosts
    return VendorClient(
        url,
        entry.authorization,
        key,
        destinations=Destinations([*own, *others]),
        timeouts=RequestTimeouts(connect_s=settings.connect_s, submit_s=settings.submit_s, look_s=settings.look_s),
        meter=meter,
        clock=clock,
        answer_headers=entry.headers,
    )


def _downloader(entry: Entry, settings: Settings, meter: VendorMeter) -> Downloader:
    named = [each.strip() for each in settings.output_hosts.split(",") if each.strip()]
    limits = DownloadLimits(
        size_bytes=settings.output_bytes,
        connect_s=settings.connect_s,
        stall_s=settings.stall_s,
        total_s=settings.download_s,
        pause_s=settings.look_every_s,
        longest_pause_s=settings.longest_pause_s,
        refused_s=2 * settings.longest_pause_s,
    )
    return Downloader(Destinations([*entry.output_hosts, *named]), limits, meter)


def _host(url: str) -> str:
    parts = urlsplit(url)
    host = parts.hostname or ""
    return f"{host}:{parts.port}" if parts.port else host


def _options(settings: Settings, missing_s: float) -> Options:
    return Options(
        inline_bytes=settings.inline_bytes,
        upload_s=settings.upload_s,
        submit_s=settings.submit_s,
        webhook_url=settings.webhook_url,
        kandinsky_image_field=settings.kandinsky_image_field,
        upload_url=settings.upload_url,
        missing_s=missing_s,
    )


async def _webhooks(
    vendor: Vendor,
    settings: Settings,
    clock: Clock,
    wakeups: TaskWakeups,
    submissions: Submissions,
    meter: VendorMeter,
    schedule: PollSchedule,
    stack: AsyncExitStack,
) -> int | None:
    """Starts to listen for webhooks and returns the port; None without webhooks: the provider then only polls."""
    if not settings.webhook_listen:
        return None
    if not vendor.has_webhooks:
        log.warning("no webhooks: this vendor's are not used")
        return None
    webhooks = Webhooks(settings.webhook_secret.get_secret_value(), clock, wakeups, submissions, meter)
    listener = WebhookServer(webhooks.take)
    host, _, port = settings.webhook_listen.rpartition(":")
    try:
        found = await listener.start(host, int(port))
    except OSError as error:
        raise CannotListenError(f"cannot listen on {settings.webhook_listen}: {error.strerror}") from error
    stack.push_async_callback(listener.stop)
    if not settings.webhook_secret:
        fetching = asyncio.create_task(webhooks.fetch_secret(vendor, schedule), name="webhook-secret")
        stack.push_async_callback(_ended, fetching)
    return found
