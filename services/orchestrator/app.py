"""The assembly: the only file that names concrete classes."""

import asyncio
import logging
import os
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path

from i2v.admin.v1 import reconcile_pb2_grpc
from i2v.v1 import asset_pb2_grpc, catalog_pb2_grpc, job_pb2_grpc, usage_pb2_grpc
from prometheus_client import REGISTRY, CollectorRegistry

from services.file_permissions import restrict_permissions
from services.orchestrator import health_check
from services.orchestrator.api import request_texts
from services.orchestrator.api.api_keys import ApiKeys, digest
from services.orchestrator.api.asset_service import AssetService
from services.orchestrator.api.catalog_service import CatalogService
from services.orchestrator.api.event_feeds import EventFeeds
from services.orchestrator.api.job_service import JobService
from services.orchestrator.api.reconcile_service import ReconcileService
from services.orchestrator.api.usage_service import UsageService
from services.orchestrator.assets.ingest import Ingest
from services.orchestrator.attempt.assembly import attempt_runner
from services.orchestrator.backends.fake import FakeBackend
from services.orchestrator.backends.provider import ProviderBackend
from services.orchestrator.backends.remote_prompt_writer import RemotePromptWriter
from services.orchestrator.backends.triton import TritonBackend
from services.orchestrator.blobs.local import LocalBlobs
from services.orchestrator.blobs.minio import MinioBlobs
from services.orchestrator.clock_and_ids import SystemClock, SystemIds
from services.orchestrator.disk_space import DiskSpace
from services.orchestrator.media.probe import keep_output, probe
from services.orchestrator.media.upload_probe import UploadProbe
from services.orchestrator.metrics import PrometheusMeter
from services.orchestrator.ports.backend import Backend, Limits
from services.orchestrator.ports.blobs import Blobs
from services.orchestrator.settings import Settings
from services.orchestrator.store.database import migrate
from services.orchestrator.store.embedded_postgres import EmbeddedPostgres
from services.orchestrator.store.postgres_store import PostgresStore
from services.orchestrator.store.queue_entries import Queue
from services.orchestrator.store.startup_wait import StartupWait
from services.orchestrator.store.tenants import PostgresTenants
from services.orchestrator.store.workers import PostgresWorkers
from services.orchestrator.worker.availability import VendorAvailability
from services.orchestrator.worker.dbos_queue import (
    APPLICATION_NAME,
    APPLICATION_VERSION,
    MAKE_VIDEO,
    DbosQueue,
    migrate_queue,
)
from services.orchestrator.worker.reaper import Reaper
from services.orchestrator.worker.reconcile import Reconciler
from services.orchestrator.worker.workflow import Worker
from services.rpc.call_limits import CallLimits, Group
from services.rpc.server import Registration, RpcServer, Tls, listen_for_metrics, serve
from services.scratch_folder import Scratch, keep_sweeping, sweep_unlocked

WATCH = "/i2v.v1.JobService/WatchJob"
UPLOAD = "/i2v.v1.AssetService/WriteAsset"
DOWNLOAD = "/i2v.v1.AssetService/ReadAsset"
LIST = "/i2v.v1.JobService/ListJobs"
SERVICES = (
    "i2v.v1.JobService",
    "i2v.v1.AssetService",
    "i2v.v1.CatalogService",
    "i2v.v1.UsageService",
    "i2v.admin.v1.ReconcileService",
)

log = logging.getLogger(__name__)


class Role(StrEnum):
    """What this process does."""

    API = "api"
    WORKER = "worker"
    ALL = "all"


@dataclass(frozen=True, slots=True)
class App:
    """A running orchestrator."""

    store: PostgresStore
    server: RpcServer
    metrics_port: int
    worker: Worker | None
    """None in an API."""


@asynccontextmanager
async def open_app(
    settings: Settings,
    role: Role,
    *,
    backends: Mapping[str, tuple[Backend, int | Limits]] | None = None,
    registry: CollectorRegistry = REGISTRY,
) -> AsyncIterator[App]:
    """Starts an orchestrator; leaving the block drains and stops it.

    `backends`, each with its slots, stand in for those of the settings.
    """
    async with AsyncExitStack() as stack:
        await asyncio.to_thread(restrict_permissions, settings.data, "blobs", "spool")
        embedded = None if settings.database_url else await _embedded(settings.data / "postgres", stack)
        url = embedded.url if embedded is not None else settings.database_url
        patience = StartupWait(url, settings.database_patience_s)
        await patience.through(partial(asyncio.to_thread, migrate, url))
        await patience.through(partial(asyncio.to_thread, migrate_queue, url))
        clock, meter = SystemClock(), PrometheusMeter(registry)
        queue = Queue(MAKE_VIDEO, APPLICATION_NAME, APPLICATION_VERSION)
        store = PostgresStore(url, clock=clock, queue=queue)
        await store.start()
        stack.push_async_callback(store.stop)
        blobs = _blobs(settings)
        stack.push_async_callback(blobs.close)
        scratch = await asyncio.to_thread(Scratch, settings.data / "spool")
        stack.callback(scratch.close)
        places = {"spool": scratch.path}
        if isinstance(blobs, LocalBlobs):
            places["blobs"] = settings.data / "blobs"
        disks = DiskSpace(places, settings.disk_free_bytes, settings.disk_free_share, meter.disk_free)
        await disks.measure()
        sweeping = keep_sweeping(*_sweeps(scratch, settings.data / "spool", blobs))
        stack.push_async_callback(_ended, asyncio.create_task(sweeping, name="sweep"))

        metrics_port, close_metrics = listen_for_metrics(settings.metrics_listen, registry)
        stack.callback(close_metrics)
        services: list[Registration] = []
        if backends is None:
            backends = await _backends(settings, stack, everything=role is not Role.API)
        vendors = VendorAvailability({name: backend for name, (backend, _) in backends.items()})
        stack.push_async_callback(_ended, asyncio.create_task(vendors.watch(), name="vendors"))
        tenants = ApiKeys(store.tenants, settings.plans(), clock, settings.operator_key())
        reconciler = Reconciler(store.jobs, store.job_events, store.paid_calls, clock, meter)
        if role is not Role.WORKER:
            if settings.dev_key_file:
                await patience.through(partial(_development_tenant, store.tenants, Path(settings.dev_key_file)))
            ingest = Ingest(store.assets, blobs, clock, UploadProbe(), scratch.path, room=disks.room)
            catalog = settings.catalog()
            jobs = JobService(
                admissions=store.admissions,
                jobs=store.jobs,
                queues=store.queues,
                paid_calls=store.paid_calls,
                accounts=store.accounts,
                assets=store.assets,
                catalog=catalog,
                tenants=tenants,
                clock=clock,
                ids=SystemIds(),
                meter=meter,
                vendors=vendors,
                feeds=EventFeeds(store.job_events, store.queues),
                room=disks.room,
            )
            assets = AssetService(store.assets, blobs, ingest, tenants)
            services = [
                lambda server: job_pb2_grpc.add_JobServiceServicer_to_server(jobs, server),
                lambda server: asset_pb2_grpc.add_AssetServiceServicer_to_server(assets, server),
                lambda server: catalog_pb2_grpc.add_CatalogServiceServicer_to_server(
                    CatalogService(catalog, vendors), server
                ),
                lambda server: usage_pb2_grpc.add_UsageServiceServicer_to_server(
                    UsageService(store.accounts, tenants, clock), server
                ),
                lambda server: reconcile_pb2_grpc.add_ReconcileServiceServicer_to_server(
                    ReconcileService(store.jobs, store.paid_calls, tenants, reconciler), server
                ),
            ]
        server = await serve(
            settings.listen,
            services,
            services=SERVICES if services else (),
            registry=registry,
            verify=tenants.verify,
            endless=(WATCH,),
            serving=False,
            limits=_limits(settings),
            check=request_texts.check,
            reflect=settings.reflection,
            tls=Tls.of(settings.tls_cert_file, settings.tls_key_file),
        )
        stack.push_async_callback(server.drain, settings.drain_s, settings.drain_delay_s)
        worker = None
        if role is not Role.API:
            runner = attempt_runner(
                jobs=store.jobs,
                job_events=store.job_events,
                paid_calls=store.paid_calls,
                assets=store.assets,
                blobs=blobs,
                backends={name: backend for name, (backend, _) in backends.items()},
                catalog=settings.catalog(),
                clock=clock,
                probe=probe,
                keep_output=keep_output,
                meter=meter,
                writer=_writer(settings, stack),
                available=vendors.available,
                workroot=scratch.path,
                room=disks.room,
            )
            workers = PostgresWorkers(
                store.database, url, clock, queue, worker=settings.worker, incarnation=SystemIds().job_id()
            )
            reaper = Reaper(
                runner=runner,
                reconciler=reconciler,
                jobs=store.jobs,
                queues=store.queues,
                paid_calls=store.paid_calls,
                workers=workers,
                clock=clock,
                silent_s=settings.silent_s,
                refund_window_s=settings.refund_window_s,
                find_s=settings.find_s,
            )
            slots = {name: Limits(n) if isinstance(n, int) else n for name, (_, n) in backends.items()}
            jobs_queue = DbosQueue(url, executor=workers.executor, slots=slots, entries=store.queues.entries)
            worker = Worker(runner=runner, reaper=reaper, workers=workers, queue=jobs_queue, silent_s=settings.silent_s)
            await patience.through(worker.start)
            stack.push_async_callback(worker.stop)
        checking = health_check.check(store.database, store.accounts, blobs, disks, server, meter, embedded)
        stack.push_async_callback(_ended, asyncio.create_task(checking, name="health"))
        log.info("ready", extra={"role": role.value, "port": server.port, "metrics_port": metrics_port})
        yield App(store, server, metrics_port, worker)
        log.info("stopping", extra={"role": role.value})


async def _embedded(folder: Path, stack: AsyncExitStack) -> EmbeddedPostgres:
    """Starts the embedded PostgreSQL and returns it. A cancel waits for the start, so that the server is stopped.

    Raises ClusterError.
    """
    starting = asyncio.create_task(asyncio.to_thread(EmbeddedPostgres, folder), name="embedded")
    try:
        await asyncio.wait({starting})
    finally:
        embedded = await starting
        stack.callback(embedded.close)
    return embedded


def _limits(settings: Settings) -> CallLimits:
    return CallLimits(
        calls=settings.max_calls,
        # One tenant leaves room for others, whatever the settings are.
        tenant_calls=min(settings.tenant_calls, max(1, settings.max_calls * 3 // 4)),
        groups=(
            Group("WATCHES", (WATCH,), settings.tenant_watches, settings.max_calls),
            Group("UPLOADS", (UPLOAD,), settings.tenant_uploads, settings.max_uploads),
            Group("DOWNLOADS", (DOWNLOAD,), settings.tenant_downloads, settings.max_downloads),
            Group("LISTS", (LIST,), settings.tenant_lists, settings.max_lists),  # the largest answers
        ),
        open_calls=settings.open_calls,
        connection_calls=settings.connection_calls,
        first_message_s=settings.first_message_s,
        next_message_s=settings.next_message_s,
        taking_s=settings.taking_s,
    )


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def _sweeps(scratch: Scratch, spool: Path, blobs: Blobs) -> list[Callable[[], None]]:
    """Returns functions that remove the files of killed processes from this machine's disks."""
    sweeps: list[Callable[[], None]] = [scratch.sweep, partial(sweep_unlocked, spool, "attempt-", "upload-")]
    return [*sweeps, blobs.sweep] if isinstance(blobs, LocalBlobs) else sweeps


def _blobs(settings: Settings) -> Blobs:
    if settings.blobs == "local":
        return LocalBlobs(settings.data / "blobs")
    return MinioBlobs(
        settings.s3_endpoint,
        settings.s3_access_key.get_secret_value(),
        settings.s3_secret_key.get_secret_value(),
        settings.s3_bucket,
        region=settings.s3_region,
        secure=settings.s3_secure,
    )


async def _backends(
    settings: Settings, stack: AsyncExitStack, *, everything: bool
) -> Mapping[str, tuple[Backend, int | Limits]]:
    backends: dict[str, tuple[Backend, int | Limits]] = {}
    catalog = settings.catalog()
    for name, (address, slots) in settings.tritons().items():
        if slots and everything:
            triton = TritonBackend(address, [card for card in catalog if card.backend == name])
            stack.push_async_callback(triton.close)
            backends[name] = (triton, slots)
    for name, (address, limits) in settings.vendors().items():
        models = {card.remote.model for card in catalog if card.backend == name and card.remote is not None}
        vendor = ProviderBackend(
            address, settings.provider_key(), vendor=name, models=models, authorities=settings.provider_authorities()
        )
        stack.push_async_callback(vendor.close)
        backends[name] = (vendor, limits)
    if settings.fake_slots and everything:
        backends["fake"] = (FakeBackend(pause_s=settings.fake_pause_s), settings.fake_slots)
    return backends


def _writer(settings: Settings, stack: AsyncExitStack) -> RemotePromptWriter | None:
    if not settings.prompt_writer:
        return None
    authorities = settings.provider_authorities()
    writer = RemotePromptWriter(settings.prompt_writer, settings.provider_key(), authorities=authorities)
    stack.push_async_callback(writer.close)
    return writer


async def _development_tenant(tenants: PostgresTenants, file: Path) -> None:
    """Makes the tenant `development`, with a key that only this file and its reader know."""
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as opened:
            opened.write(secrets.token_urlsafe(32) + "\n")
    else:
        file.chmod(0o600)
    await tenants.put("development", "development", digest(file.read_text().strip()))
