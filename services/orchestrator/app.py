"""The orchestrator as a process: the resources of every role, and the parts of the chosen one."""

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

from prometheus_client import REGISTRY, CollectorRegistry

from services.certificates.certificate_files import CertificateFiles
from services.certificates.watch import watch as watch_certificates
from services.live_secret import LiveSecret
from services.orchestrator import health_check, usage_warnings
from services.orchestrator.api import request_texts, revocation
from services.orchestrator.api.access_rules import RULES
from services.orchestrator.api.authentication import Authentication
from services.orchestrator.api.session_tokens import SessionTokens
from services.orchestrator.api.share_tokens import ShareTokens
from services.orchestrator.api_call_limits import WATCH, WATCH_USAGE, call_limits
from services.orchestrator.assets.url_signatures import UrlSignatures
from services.orchestrator.backend_connections import Backends
from services.orchestrator.background_task import run_in_background
from services.orchestrator.fleet_metrics import FleetMetrics, keep_showing
from services.orchestrator.live_config import LiveConfig, no_report
from services.orchestrator.meters.inventory_metrics import InventoryMetrics
from services.orchestrator.meters.inventory_metrics import keep_showing as keep_inventory
from services.orchestrator.meters.webhook_backlog_metrics import WebhookBacklogMetrics
from services.orchestrator.meters.webhook_backlog_metrics import keep_showing as keep_webhook_backlog
from services.orchestrator.pace import PACE, Pace
from services.orchestrator.ports.content_credentials import FileSigner
from services.orchestrator.resources import open_resources
from services.orchestrator.role import Role
from services.orchestrator.rollup_metrics import RollupMetrics, keep_computing
from services.orchestrator.settings import Settings
from services.orchestrator.store.postgres_store import PostgresStore
from services.orchestrator.worker.workflow import Worker
from services.readiness import Readiness
from services.rpc.server import Registration, RpcServer, serve

NOT_CHECKED = "not checked yet"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class App:
    """A running orchestrator."""

    store: PostgresStore
    server: RpcServer
    metrics_port: int
    config: LiveConfig
    worker: Worker | None
    """None in an API."""


@asynccontextmanager
async def open_app(
    settings: Settings,
    role: Role,
    *,
    readiness: Readiness | None = None,
    backends: Backends | None = None,
    registry: CollectorRegistry = REGISTRY,
    pace: Pace = PACE,
    signer: FileSigner | None = None,
) -> AsyncIterator[App]:
    """Starts an orchestrator; leaving the block drains and stops it.

    `backends`, each with its slots, and `signer` replace those of the settings.
    """
    readiness = readiness or Readiness()
    async with AsyncExitStack() as stack:
        runs_jobs = role is not Role.API
        resources = await open_resources(
            settings, stack, readiness, runs_jobs=runs_jobs, backends=backends, registry=registry, pace=pace
        )
        config, store = resources.config, resources.store
        in_background = partial(run_in_background, stack, failed=resources.meter.background_failed)
        answers_callers = role is not Role.WORKER
        # A role imports what it needs and no more: an API has no DBOS and no numpy, a worker none of the services.
        if answers_callers:
            from services.orchestrator.api_app import open_api, open_tokens, report_tenants_without_plan
        if runs_jobs:
            from services.orchestrator.worker_app import open_worker
        tokens = await open_tokens(settings, stack, resources.meter) if answers_callers else None
        signatures = UrlSignatures(store.service_secrets, resources.clock)
        operator_key = LiveSecret("I2V_OPERATOR_KEY_FILE", settings.operator_key_file).text
        shares = ShareTokens(store.shares.of_token, resources.clock, resources.meter)
        sessions = SessionTokens(store.credentials.of_session, resources.clock)
        callers = Authentication(
            store.credentials, config.plans, resources.clock, operator_key, tokens, signatures, shares, sessions
        )
        services = await open_api(settings, resources, callers) if answers_callers else []
        certificate = settings.server_certificate(resources.certificates)
        watch_certificates(stack, [certificate, *resources.tls, *settings.s3_authorities(resources.certificates)])
        server = await _serve(settings, callers, services, registry, certificate)
        if services:
            in_background(partial(revocation.enforce, callers, store.credentials, server), "revocation")
            in_background(partial(revocation.forget_ended_sessions, callers, store.credentials), "ended-sessions")
            in_background(partial(revocation.write_uses, callers, store.credentials), "key-uses")
        stack.push_async_callback(server.drain, settings.drain_s, settings.drain_delay_s)
        # An API that runs jobs too answers callers also while no backend takes work.
        report = partial(readiness.report, "backends") if role is Role.WORKER else None
        if report is not None:
            report(NOT_CHECKED)
        worker = await open_worker(settings, resources, stack, pace, signer, report) if runs_jobs else None
        readiness.report("service", NOT_CHECKED)
        checking = partial(
            health_check.check,
            resources.store.database,
            resources.store.counter_audits,
            resources.blobs,
            resources.disks,
            server,
            resources.meter,
            resources.embedded,
            partial(readiness.report, "service"),
        )
        in_background(checking, "health")
        if runs_jobs:
            metrics = RollupMetrics(registry, settings.metrics_tenants)
            computing = partial(keep_computing, store.rollups, metrics, resources.clock, settings.rollup_s)
            in_background(computing, "rollups")
        in_background(partial(keep_showing, store.fleet.look, FleetMetrics(registry)), "fleet")
        report_plans = partial(report_tenants_without_plan, store.tenants, config) if answers_callers else no_report
        if runs_jobs:
            in_background(partial(keep_inventory, store.inventory.look, InventoryMetrics(registry)), "inventory")
            waiting = WebhookBacklogMetrics(registry)
            look = store.webhook_deliveries.backlog
            in_background(partial(keep_webhook_backlog, look, resources.clock, waiting), "webhook-backlog")
        in_background(partial(config.watch, settings.config_check_s, report_plans), "config")
        if role is Role.ALL:
            from services.orchestrator.webhooks_app import open_senders

            deliveries, failed = store.webhook_deliveries, resources.meter.background_failed
            open_senders(settings, stack, deliveries, resources.clock, registry, failed)
        if answers_callers:
            reporting = partial(usage_warnings.report, resources.store.usage_warnings, resources.meter)
            in_background(reporting, "usage-warnings")
        ports = {"port": server.port, "metrics_port": resources.metrics_port}
        log.info("ready", extra={"role": role.value, **ports})
        yield App(resources.store, server, resources.metrics_port, config, worker)
        log.info("stopping", extra={"role": role.value})


async def _serve(
    settings: Settings,
    callers: Authentication,
    services: Sequence[Registration],
    registry: CollectorRegistry,
    certificate: CertificateFiles | None,
) -> RpcServer:
    """Starts the gRPC server, which is not serving yet. A worker's answers health checks only."""
    return await serve(
        settings.listen,
        services,
        services=tuple(RULES) if services else (),
        registry=registry,
        verify=callers.verify,
        authorize=callers.authorize,
        endless=(WATCH, WATCH_USAGE),
        serving=False,
        limits=call_limits(settings),
        check=request_texts.check,
        reflect=settings.reflection,
        connection_age_s=settings.connection_age_s,
        tls=certificate,
    )
