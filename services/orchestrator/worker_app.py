"""The role `worker`: runs jobs and the reaper, and removes what is old."""

from collections.abc import Callable
from contextlib import AsyncExitStack

from services.orchestrator.assets.finished_videos import FinishedVideos
from services.orchestrator.assets.upload_parts import UploadParts
from services.orchestrator.attempt.assembly import attempt_runner
from services.orchestrator.backend_connections import connect_prompt_writer
from services.orchestrator.background_task import run_in_background
from services.orchestrator.clock_and_ids import SystemIds
from services.orchestrator.media.output_marking import SandboxedMarking
from services.orchestrator.media.probe import keep_output, probe
from services.orchestrator.pace import Pace
from services.orchestrator.ports.backend import Limits
from services.orchestrator.ports.content_credentials import FileSigner
from services.orchestrator.ports.shared_backend import SharedBackend
from services.orchestrator.resources import Resources
from services.orchestrator.retention.old_checkpoints import OldCheckpoints
from services.orchestrator.retention.retention import SOON_S
from services.orchestrator.retention.user_erasure import UserErasure
from services.orchestrator.settings import Settings
from services.orchestrator.store.retention_lock import RetentionLock
from services.orchestrator.store.workers import PostgresWorkers
from services.orchestrator.worker.backend_readiness import BackendReadiness
from services.orchestrator.worker.dbos_queue import DbosEntries, DbosQueue
from services.orchestrator.worker.lost_submission_reconciler import Reconciler
from services.orchestrator.worker.reaper import Reaper
from services.orchestrator.worker.reconcile_schedule import ReconcileSchedule
from services.orchestrator.worker.workflow import Worker


async def open_worker(
    settings: Settings,
    resources: Resources,
    stack: AsyncExitStack,
    pace: Pace,
    signer: FileSigner | None = None,
    report: Callable[[str], None] | None = None,
) -> Worker:
    """Starts a worker; leaving the stack stops it. `signer` replaces the one of the settings.

    `report` gets why none of its backends takes work; empty: one does.

    Raises NameTaken, RuntimeError.
    """
    store, clock, meter = resources.store, resources.clock, resources.meter
    backends = {name: backend for name, (backend, _) in resources.backends.items()}
    videos = FinishedVideos(resources.renditions)
    runner = attempt_runner(
        jobs=store.jobs,
        job_events=store.job_events,
        paid_calls=store.paid_calls,
        assets=store.assets,
        blobs=resources.blobs,
        backends=backends,
        catalog=resources.config.catalog,
        clock=clock,
        probe=probe,
        keep_output=keep_output,
        signer=signer or resources.credentials,
        meter=meter,
        writer=connect_prompt_writer(settings, stack, resources.tls, resources.connections),
        available=resources.available,
        workroot=resources.scratch,
        room=resources.disks.room,
        longest_retry_s=pace.longest_retry_s,
        finished=videos.add,
        output_marker=SandboxedMarking() if settings.pixel_mark else None,
    )
    slots = {name: Limits(n) if isinstance(n, int) else n for name, (_, n) in resources.backends.items()}
    workers = PostgresWorkers(
        store.database,
        resources.database_url,
        clock,
        resources.queue,
        worker=settings.worker,
        incarnation=SystemIds().job_id(),
        slots={name: limits.per_worker for name, limits in slots.items()},
        timeout_s=pace.name_timeout_s,
    )
    reconciling = ReconcileSchedule(
        reconciler=Reconciler(store.jobs, store.job_events, store.paid_calls, clock, meter),
        paid_calls=store.paid_calls,
        backends=backends,
        clock=clock,
        meter=meter,
        refund_window_s=settings.refund_window_s,
        find_s=settings.find_s,
        page=pace.reconcile_page,
    )
    reaper = Reaper(
        workers=workers,
        jobs=store.jobs,
        runner=runner,
        reconciling=reconciling,
        readiness=BackendReadiness(backends, workers, meter, report),
        clock=clock,
        meter=meter,
        silent_s=settings.silent_s,
    )
    queue = DbosQueue(
        resources.database_url,
        executor=workers.executor,
        slots=slots,
        entries=store.queues.entries,
        paused=resources.drained.is_drained,
        shared={name: backend for name, backend in backends.items() if isinstance(backend, SharedBackend)},
        migrates=settings.migrate,
    )
    worker = Worker(runner=runner, reaper=reaper, workers=workers, queue=queue, silent_s=settings.silent_s)
    await resources.startup_wait.through(worker.start)
    stack.push_async_callback(worker.stop)
    run_in_background(stack, resources.retention.repeat, "retention", meter.background_failed, again_s=SOON_S)
    erasing = _erasure(resources, pace).repeat
    run_in_background(stack, erasing, "deletions of users", meter.background_failed, again_s=SOON_S)
    run_in_background(stack, videos.make, "finished-videos", meter.background_failed)
    return worker


def _erasure(resources: Resources, pace: Pace) -> UserErasure:
    store, blobs = resources.store, resources.blobs
    return UserErasure(
        deletions=store.user_deletions,
        data=store.user_data,
        jobs=store.jobs,
        old_jobs=store.old_jobs,
        uploads=store.uploads,
        audits=store.counter_audits,
        discard=UploadParts(store.uploads, blobs).discard,
        remove_runs=DbosEntries(resources.database_url).remove,
        remove_checkpoints=OldCheckpoints(store.old_jobs, blobs, store.assets).remove_of,
        only_one=RetentionLock(resources.database_url, "i2v-user-deletions").only_one,
        clock=resources.clock,
        meter=resources.meter,
        report=resources.meter.user_deletions,
        every_s=pace.erasure_every_s,
    )
