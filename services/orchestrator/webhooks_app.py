"""The role `webhooks`: delivers what the database has for the endpoints of tenants, and needs nothing else."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

from prometheus_client import REGISTRY, CollectorRegistry

from services.errors import Unavailable
from services.metrics.endpoint import serve_metrics
from services.orchestrator.background_task import run_in_background
from services.orchestrator.clock_and_ids import SystemClock
from services.orchestrator.database_url import database_url
from services.orchestrator.domain.webhook import AT_ONCE
from services.orchestrator.meters.database_metrics import DatabaseMetrics
from services.orchestrator.meters.database_metrics import keep_showing as keep_showing_database
from services.orchestrator.meters.label_names import LabelNames
from services.orchestrator.meters.operation_metrics import OperationMetrics
from services.orchestrator.meters.webhook_backlog_metrics import WebhookBacklogMetrics, keep_showing
from services.orchestrator.meters.webhook_metrics import WebhookMetrics
from services.orchestrator.migration import check_all, migrate_all
from services.orchestrator.ports.clock_and_ids import Clock
from services.orchestrator.ports.webhooks import Deliveries
from services.orchestrator.settings import Settings
from services.orchestrator.store.database import Database
from services.orchestrator.store.sender_store import SenderStore
from services.orchestrator.store.startup_wait import StartupWait
from services.orchestrator.webhook_receivers import HttpReceivers
from services.orchestrator.webhooks.lane import Lane, LaneRunner
from services.orchestrator.webhooks.sender import Sender
from services.outbound.public_destinations import PublicDestinations
from services.outbound.threaded_resolver import ThreadedResolver
from services.readiness import Readiness
from services.settings import BadSetting

LEASE_MORE_S = 20.0
"""A claim holds this much longer than a try may take: for the database, and for a process that pauses."""
LOOK_UPS = 256
"""Names that are looked up at a time: a dead name keeps its thread until the system gives up."""
CHECK_S = 2.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WebhooksApp:
    """A running sender of webhooks."""

    store: SenderStore
    metrics_port: int


def open_senders(
    settings: Settings,
    stack: AsyncExitStack,
    deliveries: Deliveries,
    clock: Clock,
    registry: CollectorRegistry,
    failed: Callable[[str], None],
) -> None:
    """Begins to deliver; leaving the stack waits for the requests under way. `failed` gets tasks that failed."""
    metrics = WebhookMetrics(registry)
    resolver = ThreadedResolver(LOOK_UPS)
    stack.callback(resolver.close)
    destinations = PublicDestinations(settings.webhook_hosts(), resolve=resolver.resolve)
    receivers = HttpReceivers(destinations, clock, timeout_s=settings.webhook_timeout_s)
    stack.push_async_callback(receivers.close)
    sender = Sender(deliveries, receivers, clock, metrics)
    lease_s = settings.webhook_timeout_s + LEASE_MORE_S
    living, failing = (
        LaneRunner(lane, deliveries, sender, clock, metrics, lease_s=lease_s) for lane in lanes(settings.webhook_sends)
    )
    run_in_background(stack, living.run, "webhooks-living", failed)
    run_in_background(stack, failing.run, "webhooks-failing", failed)


def lanes(sends: int) -> tuple[Lane, Lane]:
    """Returns the lane of the endpoints that answer, with `sends` slots, and that of the failing ones."""
    living = Lane("living", failing=False, slots=sends, per_endpoint=AT_ONCE)
    return living, Lane("failing", failing=True, slots=max(1, sends // 2), per_endpoint=1)


@asynccontextmanager
async def open_webhooks(
    settings: Settings, *, readiness: Readiness | None = None, registry: CollectorRegistry = REGISTRY
) -> AsyncIterator[WebhooksApp]:
    """Starts a process that only delivers webhooks; leaving the block stops it. Raises BadSetting, Unavailable."""
    if not settings.database_url:
        raise BadSetting("webhooks needs I2V_DATABASE_URL: with an embedded PostgreSQL, the role all delivers them")
    readiness = readiness or Readiness()
    async with AsyncExitStack() as stack:
        failed = OperationMetrics(registry, LabelNames()).background_failed
        shown = DatabaseMetrics(registry)
        metrics_port, close_metrics = serve_metrics(settings.metrics_listen, registry)
        stack.callback(close_metrics)
        url = database_url(settings, stack, failed)
        wait = StartupWait(url, settings.database_patience_s, partial(readiness.report, "database"))
        if settings.migrate:
            await migrate_all(url, wait)
        else:
            await check_all(url, wait, shown.schema)
        clock = SystemClock()
        store = SenderStore(url, clock=clock)
        stack.push_async_callback(store.stop)
        shown.pool(store.database.connections_in_use, store.database.pool_size)
        showing = partial(keep_showing_database, store.inventory.state, shown)
        run_in_background(stack, showing, "database-state", failed)
        checking = partial(_check, store.database, partial(readiness.report, "service"))
        run_in_background(stack, checking, "health", failed)
        looking = partial(keep_showing, store.webhook_deliveries.backlog, clock, WebhookBacklogMetrics(registry))
        run_in_background(stack, looking, "webhook-backlog", failed)
        open_senders(settings, stack, store.webhook_deliveries, clock, registry, failed)
        log.info("ready", extra={"role": "webhooks", "metrics_port": metrics_port})
        yield WebhooksApp(store, metrics_port)
        log.info("stopping", extra={"role": "webhooks"})


async def _check(database: Database, report: Callable[[str], None]) -> None:
    """Reports every two seconds whether the database can be used."""
    why = ""
    while True:
        try:
            await database.check()
        except Unavailable as error:
            if not why:
                log.warning("not serving", extra={"reason": error.reason, "place": ""})
            why = error.message
        else:
            if why:
                log.info("serving")
            why = ""
        report(why)
        await asyncio.sleep(CHECK_S)
