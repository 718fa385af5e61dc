"""What removes old things, with its adapters."""

from collections.abc import Mapping, Sequence

from services.orchestrator.assets.upload_parts import UploadParts
from services.orchestrator.clock_and_ids import SystemClock
from services.orchestrator.domain.keep_rules import KeepRules
from services.orchestrator.live_config import LiveConfig
from services.orchestrator.metrics import PrometheusMeter
from services.orchestrator.pace import Pace
from services.orchestrator.ports.blobs import Blobs
from services.orchestrator.ports.trash import Trash
from services.orchestrator.retention.ended_jobs import EndedJobs
from services.orchestrator.retention.job_history import JobHistory
from services.orchestrator.retention.old_checkpoints import OldCheckpoints
from services.orchestrator.retention.old_deliveries import OldWebhookDeliveries
from services.orchestrator.retention.old_events import OldEvents
from services.orchestrator.retention.old_library import OldLibrary
from services.orchestrator.retention.old_queue_entries import OldQueueEntries
from services.orchestrator.retention.old_trash import OldTrashItems
from services.orchestrator.retention.old_uploads import OldUploads
from services.orchestrator.retention.retention import Retention
from services.orchestrator.retention.unneeded_bytes import UnneededBytes
from services.orchestrator.settings import Settings
from services.orchestrator.store.postgres_store import PostgresStore
from services.orchestrator.store.retention_lock import RetentionLock


def retention_of(
    settings: Settings,
    url: str,
    store: PostgresStore,
    blobs: Blobs,
    clock: SystemClock,
    meter: PrometheusMeter,
    config: LiveConfig,
    pace: Pace,
    trash: Trash,
    unneeded: UnneededBytes,
) -> Retention:
    """Returns the rounds of retention, of every kind of old things."""

    def rules() -> Mapping[str, KeepRules]:
        return {plan.name: plan.keep for plan in config.plans.values()}

    async def remove_entries(entries: Sequence[str]) -> None:
        # Only here, as in `migration`: an API needs DBOS only if an operator has old entries removed.
        from services.orchestrator.worker.dbos_queue import DbosEntries

        await DbosEntries(url).remove(entries)

    history = JobHistory(store.old_jobs, blobs)
    return Retention(
        removals=(
            OldEvents(store.old_jobs, history),
            EndedJobs(store.old_jobs, history),
            OldQueueEntries(store.old_entries, remove_entries),
            OldUploads(store.uploads, UploadParts(store.uploads, blobs).discard),
            OldCheckpoints(store.old_jobs, blobs, store.assets),
            OldLibrary(store.old_trash, rules),
            OldTrashItems(store.old_trash, trash, rules, settings.trash_days),
            OldWebhookDeliveries(store.old_deliveries),
            unneeded,
        ),
        ages=settings.ages(),
        only_one=RetentionLock(url).only_one,
        clock=clock,
        meter=meter,
        every_s=pace.retention_every_s,
    )
