"""The resources that every role needs: the database, bytes, disks, metrics and backends."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from prometheus_client import CollectorRegistry

from services.certificates.metrics import CertificateMetrics
from services.file_permissions import restrict_permissions
from services.metrics.endpoint import serve_metrics
from services.orchestrator.assets.blob_copy import BlobCopy
from services.orchestrator.assets.counted_trash import CountedTrash
from services.orchestrator.assets.read_counts import ReadCounts
from services.orchestrator.assets.rendition_signing import RenditionSigning
from services.orchestrator.assets.renditions import OnDemandRenditions
from services.orchestrator.backend_connections import Backends, BackendTls, connect_backends, open_slot_locks
from services.orchestrator.background_task import run_in_background
from services.orchestrator.blob_stores import bucket_of, folders_in, open_blobs
from services.orchestrator.blobs.kept import KeptBlobs
from services.orchestrator.blobs.moving import MovingBlobs
from services.orchestrator.blobs.s3_configuration import S3Configuration
from services.orchestrator.blobs.traced import traced
from services.orchestrator.certificate_files import open_credentials
from services.orchestrator.clock_and_ids import SystemClock
from services.orchestrator.database_url import database_url
from services.orchestrator.disk_space import DiskSpace
from services.orchestrator.library_metrics import LibraryMetrics
from services.orchestrator.live_config import LiveConfig
from services.orchestrator.media.content_credentials import ContentCredentials
from services.orchestrator.media.rendition_maker import SandboxedRenditions
from services.orchestrator.meters.connection_metrics import ConnectionMetrics
from services.orchestrator.meters.database_metrics import DatabaseMetrics
from services.orchestrator.meters.database_metrics import keep_showing as keep_showing_database
from services.orchestrator.meters.sandbox_metrics import SandboxMetrics
from services.orchestrator.metrics import PrometheusMeter
from services.orchestrator.migration import check_all, migrate_all
from services.orchestrator.pace import Pace
from services.orchestrator.ports.blobs import Blobs
from services.orchestrator.ports.bucket_configuration import BucketConfiguration
from services.orchestrator.ports.trash import Trash
from services.orchestrator.retention.retention import Retention
from services.orchestrator.retention.unneeded_bytes import UnneededBytes
from services.orchestrator.retention_app import retention_of
from services.orchestrator.settings import Settings
from services.orchestrator.store.embedded_postgres import EmbeddedPostgres
from services.orchestrator.store.postgres_store import PostgresStore
from services.orchestrator.store.queue_entries import Queue
from services.orchestrator.store.startup_wait import StartupWait
from services.orchestrator.worker.availability import VendorAvailability
from services.orchestrator.worker.drained_backends import DrainedBackends
from services.orchestrator.worker.queue_names import APPLICATION_NAME, APPLICATION_VERSION, MAKE_VIDEO
from services.readiness import Readiness
from services.scratch_folder import Scratch, keep_sweeping, sweep_unlocked


@dataclass(frozen=True, slots=True)
class Resources:
    """What a process of any role has open."""

    database_url: str
    embedded: EmbeddedPostgres | None
    """None with a database of the operators' own."""
    startup_wait: StartupWait
    queue: Queue
    store: PostgresStore
    blobs: Blobs
    clock: SystemClock
    meter: PrometheusMeter
    config: LiveConfig
    metrics_port: int
    scratch: Path
    """This process's folder for temporary files."""
    disks: DiskSpace
    backends: Backends
    vendors: VendorAvailability
    retention: Retention
    drained: DrainedBackends
    credentials: ContentCredentials
    renditions: OnDemandRenditions
    blob_copy: BlobCopy | None
    """None: blobs are not moved to another store."""
    bucket: BucketConfiguration | None
    """None: the store is a folder."""
    read_counts: ReadCounts
    trash: Trash
    library_meter: LibraryMetrics
    certificates: CertificateMetrics
    tls: BackendTls
    connections: ConnectionMetrics
    sandboxes: SandboxMetrics

    def available(self, backend: str) -> bool:
        """Whether a backend takes work now."""
        return self.vendors.available(backend) and not self.drained.is_drained(backend)


async def open_resources(
    settings: Settings,
    stack: AsyncExitStack,
    readiness: Readiness,
    *,
    runs_jobs: bool,
    backends: Backends | None,
    registry: CollectorRegistry,
    pace: Pace,
) -> Resources:
    """Opens the resources, and migrates the database if it may. Leaving the stack closes them in the reverse order.

    `runs_jobs`: the process needs local backends too. `backends` replace those of the settings. Raises BadSetting for
    files that cannot be used.
    """
    meter, library_meter = PrometheusMeter(registry, settings.metrics_tenants), LibraryMetrics(registry)
    certificates, connections = CertificateMetrics(registry), ConnectionMetrics(registry)
    sandboxes, database_metrics = SandboxMetrics(registry), DatabaseMetrics(registry)
    metrics_port, close_metrics = serve_metrics(settings.metrics_listen, registry)  # first: it shows why a start waits
    stack.callback(close_metrics)
    config = LiveConfig(settings.catalog_files(), settings.plans(), meter)
    await asyncio.to_thread(restrict_permissions, settings.data, "blobs", "spool")
    embedded = None if settings.database_url else await _start_postgres(settings.data / "postgres", stack)
    url = embedded.url if embedded is not None else database_url(settings, stack, meter.background_failed)
    startup_wait = StartupWait(url, settings.database_patience_s, partial(readiness.report, "database"))
    if settings.migrate:
        await migrate_all(url, startup_wait)
    else:
        await check_all(url, startup_wait, database_metrics.schema)
    clock = SystemClock()
    queue = Queue(MAKE_VIDEO, APPLICATION_NAME, APPLICATION_VERSION)
    store = PostgresStore(url, clock=clock, queue=queue)
    await store.start()
    stack.push_async_callback(store.stop)
    database_metrics.pool(store.database.connections_in_use, store.database.pool_size)
    showing = partial(keep_showing_database, store.inventory.state, database_metrics)
    run_in_background(stack, showing, "database-state", meter.background_failed)
    credentials = await startup_wait.through(partial(open_credentials, settings, store.service_secrets, certificates))
    blobs = open_blobs(settings)
    stack.push_async_callback(blobs.close)
    scratch = await asyncio.to_thread(Scratch, settings.data / "spool")
    stack.callback(scratch.close)
    disks = _watched_disks(settings, scratch, blobs, meter)
    await disks.measure()
    sweeps = _sweeps(scratch, settings.data / "spool", blobs)
    sweeping = partial(keep_sweeping, *sweeps, count=meter.leftovers_removed)
    run_in_background(stack, sweeping, "sweep", meter.background_failed)
    tls = BackendTls(settings.provider_certificates(certificates), settings.triton_certificates(certificates))
    if backends is None:
        locks = open_slot_locks(url, stack) if runs_jobs else None
        backends = connect_backends(settings, config.catalog, stack, tls, connections, locks)
    vendors = VendorAvailability({name: backend for name, (backend, _) in backends.items()}, every_s=pace.vendor_look_s)
    run_in_background(stack, vendors.watch, "vendors", meter.background_failed)
    drained = DrainedBackends(store.backend_drains, backends, meter)
    await startup_wait.through(drained.refresh)  # before a worker takes jobs
    run_in_background(stack, drained.watch, "drains", meter.background_failed)
    renditions = OnDemandRenditions(
        store.renditions,
        SandboxedRenditions(),
        store.assets,
        traced(blobs),
        clock,
        library_meter,
        scratch.path,
        room=disks.room,
        sign=RenditionSigning(credentials, store.manifests, library_meter).sign,
    )
    read_counts = ReadCounts(store.read_counters, clock)
    stack.push_async_callback(read_counts.end)  # after the last call
    writing = partial(read_counts.keep_writing, pace.counts_every_s)
    run_in_background(stack, writing, "read-counts", meter.background_failed)
    trash = CountedTrash(store.trash, library_meter)
    unneeded = UnneededBytes(store.blob_removals, blobs, renditions.remove, library_meter)
    return Resources(
        database_url=url,
        embedded=embedded,
        startup_wait=startup_wait,
        queue=queue,
        store=store,
        blobs=KeptBlobs(traced(blobs), store.blob_removals, clock),
        clock=clock,
        meter=meter,
        config=config,
        metrics_port=metrics_port,
        scratch=scratch.path,
        disks=disks,
        backends=backends,
        vendors=vendors,
        drained=drained,
        credentials=credentials,
        renditions=renditions,
        blob_copy=_blob_copy(blobs, store, clock, scratch.path, disks, meter),
        bucket=_bucket(settings, stack),
        read_counts=read_counts,
        trash=trash,
        library_meter=library_meter,
        certificates=certificates,
        tls=tls,
        connections=connections,
        sandboxes=sandboxes,
        retention=retention_of(settings, url, store, blobs, clock, meter, config, pace, trash, unneeded),
    )


def _blob_copy(
    blobs: Blobs, store: PostgresStore, clock: SystemClock, spool: Path, disks: DiskSpace, meter: PrometheusMeter
) -> BlobCopy | None:
    if not isinstance(blobs, MovingBlobs):
        return None
    new, old = blobs.new, blobs.old
    removals, references = store.blob_removals, store.blob_references
    return BlobCopy(new, old, removals, references, clock, spool, disks.room, meter.blob_copied)


def _bucket(settings: Settings, stack: AsyncExitStack) -> S3Configuration | None:
    bucket = bucket_of(settings)
    if bucket is None:
        return None
    configuration = S3Configuration(bucket)
    stack.push_async_callback(configuration.close)
    return configuration


async def _start_postgres(folder: Path, stack: AsyncExitStack) -> EmbeddedPostgres:
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


def _watched_disks(settings: Settings, scratch: Scratch, blobs: Blobs, meter: PrometheusMeter) -> DiskSpace:
    folders = {"spool": scratch.path}
    if written := folders_in(blobs.new if isinstance(blobs, MovingBlobs) else blobs):
        folders["blobs"] = written[0].root
    return DiskSpace(folders, settings.disk_free_bytes, settings.disk_free_share, meter.disk_free)


def _sweeps(scratch: Scratch, spool: Path, blobs: Blobs) -> list[Callable[[], int]]:
    """Returns functions that remove the files of killed processes from this machine's disks."""
    sweeps: list[Callable[[], int]] = [scratch.sweep, partial(sweep_unlocked, spool, "attempt-", "upload-")]
    return [*sweeps, *(folder.sweep for folder in folders_in(blobs))]
