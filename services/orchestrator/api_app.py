"""The role `api`: the services that answer callers."""

import logging
import os
import secrets
from contextlib import AsyncExitStack
from datetime import timedelta
from functools import partial
from pathlib import Path

import grpc
from i2v.v1 import (
    asset_pb2_grpc,
    catalog_pb2_grpc,
    collection_pb2_grpc,
    job_pb2_grpc,
    live_pb2_grpc,
    provenance_pb2_grpc,
    signed_asset_pb2_grpc,
    usage_pb2_grpc,
)

from services.orchestrator.admission.admit import Admitter
from services.orchestrator.admission.model_routing import Routing
from services.orchestrator.admission.preview import ExpectedTimes, Previewer
from services.orchestrator.admission.queue_forecasts import QueueForecasts
from services.orchestrator.admission.queue_gate import QueueGate
from services.orchestrator.admission.quotes import Quotes
from services.orchestrator.api.asset_service import AssetService
from services.orchestrator.api.authentication import Authentication, digest
from services.orchestrator.api.catalog_service import CatalogService
from services.orchestrator.api.collection_service import CollectionService
from services.orchestrator.api.event_feed_registry import EventFeeds
from services.orchestrator.api.job_service import JobService
from services.orchestrator.api.live_service import LiveService
from services.orchestrator.api.provenance_service import ProvenanceService
from services.orchestrator.api.signed_asset_service import SignedAssetService
from services.orchestrator.api.usage_feed_registry import UsageFeeds
from services.orchestrator.api.usage_service import UsageService
from services.orchestrator.assets.direct_uploads import DirectUploads
from services.orchestrator.assets.ingest import Ingest
from services.orchestrator.assets.live_videos import LiveVideos
from services.orchestrator.assets.resumable_uploads import ResumableUploads
from services.orchestrator.assets.signed_urls import SignedUrls
from services.orchestrator.assets.upload_parts import UploadParts
from services.orchestrator.assets.url_signatures import UrlSignatures
from services.orchestrator.assets.verify import Verifier
from services.orchestrator.background_task import run_in_background
from services.orchestrator.clock_and_ids import SystemIds
from services.orchestrator.domain.caller import Caller
from services.orchestrator.endpoints_app import open_webhooks
from services.orchestrator.live_config import LiveConfig
from services.orchestrator.media.file_checks import SandboxedChecks
from services.orchestrator.media.probe import find_mark
from services.orchestrator.media.upload_probe import UploadProbe
from services.orchestrator.metrics import PrometheusMeter
from services.orchestrator.operators_app import open_operators
from services.orchestrator.ports.tokens import Tokens
from services.orchestrator.resources import Resources
from services.orchestrator.sessions_app import open_sessions
from services.orchestrator.settings import Settings
from services.orchestrator.shares_app import open_shares
from services.orchestrator.store.tenants import PostgresTenants
from services.rpc.server import Registration

log = logging.getLogger(__name__)

TENANTS_LOGGED = 20


async def open_tokens(settings: Settings, stack: AsyncExitStack, meter: PrometheusMeter) -> Tokens | None:
    """Begins to read the keys of the issuer of tokens. Returns None if the settings name none."""
    issuer = settings.token_issuer()
    if issuer is None:
        return None
    # Only here: most installations have no issuer, and need neither HTTP nor cryptography for its keys.
    from services.orchestrator.tokens.key_source import JwksFile, JwksUrl, jwks_client
    from services.orchestrator.tokens.signing_keys import SigningKeys
    from services.orchestrator.tokens.token_reader import TokenReader

    source: JwksFile | JwksUrl = JwksFile(Path(settings.jwt_jwks_file))
    if settings.jwt_jwks_url:
        client = await stack.enter_async_context(jwks_client(settings.jwt_jwks_url))
        source = JwksUrl(settings.jwt_jwks_url, client)
    keys = SigningKeys(
        source.load, meter.issuer_read, refresh_s=settings.jwt_refresh_s, refetch_s=settings.jwt_refetch_s
    )
    run_in_background(stack, keys.keep_reading, "signing-keys", meter.background_failed, again_s=settings.jwt_refetch_s)
    return TokenReader(keys, issuer)


async def open_api(settings: Settings, resources: Resources, callers: Authentication) -> list[Registration]:
    """Returns the services for a server. Adds the development tenant if the settings ask for one."""
    store, clock, meter, room = resources.store, resources.clock, resources.meter, resources.disks.room
    if settings.dev_key_file:
        await resources.startup_wait.through(
            partial(_add_development_tenant, store.tenants, Path(settings.dev_key_file))
        )
    catalog, vendors, ids = resources.config.catalog, resources.vendors, SystemIds()
    drained = resources.drained.is_drained
    quotes = Quotes(store.service_secrets, clock, meter, timedelta(seconds=settings.quote_s))
    forecasts = QueueForecasts(store.queues, meter)
    gate = QueueGate(
        store.queues,
        forecasts,
        meter,
        most_of_backend=settings.backend_queued_jobs,
        most_of_all=settings.max_queued_jobs,
    )

    async def expected_times(caller: Caller, routing: Routing) -> ExpectedTimes | None:
        expected = await forecasts.of_new(caller, routing.spec, routing.card.backend)
        if expected.start_time is None or expected.end_time is None:
            return None
        return ExpectedTimes(expected.start_time, expected.end_time)

    jobs = JobService(
        admitter=Admitter(
            catalog=catalog,
            admissions=store.admissions,
            assets=store.assets,
            quotes=quotes,
            gate=gate,
            clock=clock,
            ids=ids,
            meter=meter,
            available=vendors.available,
            drained=drained,
            room=room,
        ),
        previewer=Previewer(
            catalog=catalog,
            counters=store.counters,
            assets=store.assets,
            quotes=quotes,
            clock=clock,
            available=vendors.available,
            forecast=expected_times,
            drained=drained,
        ),
        admissions=store.admissions,
        jobs=store.jobs,
        queues=store.queues,
        paid_calls=store.paid_calls,
        callers=callers,
        clock=clock,
        ids=ids,
        meter=meter,
        feeds=EventFeeds(store.job_events, forecasts),
        forecasts=forecasts,
    )
    ingest = Ingest(store.assets, resources.blobs, clock, UploadProbe(), resources.scratch, room=room)
    parts = UploadParts(store.uploads, resources.blobs)
    resumable = ResumableUploads(store.uploads, parts, store.assets, resources.blobs, ingest, clock, ids)
    direct = DirectUploads(resumable, resources.blobs)
    checks = SandboxedChecks(resources.credentials, find_mark)
    verifier = Verifier(store.assets, resources.blobs, store.manifests, checks, resources.scratch, room)
    provenance = ProvenanceService(store.manifests, verifier, callers)
    signatures, longest = UrlSignatures(store.service_secrets, clock), timedelta(seconds=settings.signed_url_s)
    urls = SignedUrls(resources.blobs, signatures, clock, settings.studio_url, longest)
    assets = AssetService(
        store.assets,
        store.library,
        resources.trash,
        resources.blobs,
        ingest,
        resumable,
        direct,
        resources.renditions,
        urls,
        resources.read_counts,
        callers,
        clock,
    )
    collections = CollectionService(store.collections, callers, clock)
    signed_assets = SignedAssetService(store.assets, resources.renditions, resources.blobs, resources.read_counts)
    videos = LiveVideos(
        store.jobs,
        store.job_events,
        store.assets,
        catalog,
        signatures,
        clock,
        settings.studio_url,
        timedelta(seconds=settings.live_url_s),
    )
    live = LiveService(videos, resources.blobs, callers)
    models = CatalogService(catalog, vendors, drained)
    usage = UsageService(store.counters, store.ledger, callers, clock, UsageFeeds(store.counters))

    def register(server: grpc.aio.Server) -> None:
        job_pb2_grpc.add_JobServiceServicer_to_server(jobs, server)
        asset_pb2_grpc.add_AssetServiceServicer_to_server(assets, server)
        collection_pb2_grpc.add_CollectionServiceServicer_to_server(collections, server)
        provenance_pb2_grpc.add_ProvenanceServiceServicer_to_server(provenance, server)
        signed_asset_pb2_grpc.add_SignedAssetServiceServicer_to_server(signed_assets, server)
        live_pb2_grpc.add_LiveServiceServicer_to_server(live, server)
        catalog_pb2_grpc.add_CatalogServiceServicer_to_server(models, server)
        usage_pb2_grpc.add_UsageServiceServicer_to_server(usage, server)

    operators = open_operators(settings, resources, callers, forecasts)
    shares, webhooks = open_shares(settings, resources, callers), open_webhooks(settings, resources)
    return [register, operators, shares, webhooks, open_sessions(settings, resources, callers)]


async def report_tenants_without_plan(tenants: PostgresTenants, config: LiveConfig) -> None:
    """Logs the tenants whose plan is not in the file: their calls are refused. Raises Unavailable."""
    for tenant in await tenants.without_plan(tuple(config.plans), limit=TENANTS_LOGGED):
        known = {"tenant": tenant.id, "plan": tenant.plan, "next_plan": tenant.next_plan}
        log.error("the plan of a tenant is not in the file of the plans; its calls are refused", extra=known)


async def _add_development_tenant(tenants: PostgresTenants, file: Path) -> None:
    """Adds the tenant `development`, with a key that only readers of this file know."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as opened:
            opened.write(secrets.token_urlsafe(32) + "\n")
    else:
        file.chmod(0o600)
    await tenants.put("development", "development", digest(file.read_text().strip()))
