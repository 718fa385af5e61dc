"""PostgresStore: the adapters of all ports to the database, over the connections of one process."""

from services.orchestrator.ports.clock_and_ids import Clock
from services.orchestrator.store.admissions import PostgresAdmissions
from services.orchestrator.store.api_keys import PostgresApiKeys
from services.orchestrator.store.assets import PostgresAssets
from services.orchestrator.store.audit_log import PostgresAuditLog
from services.orchestrator.store.backend_drains import PostgresBackendDrains
from services.orchestrator.store.blob_references import PostgresBlobReferences
from services.orchestrator.store.blob_removals import PostgresBlobRemovals
from services.orchestrator.store.collections import PostgresCollections
from services.orchestrator.store.counter_audits import PostgresCounterAudits
from services.orchestrator.store.counters import PostgresCounters
from services.orchestrator.store.credentials import PostgresCredentials
from services.orchestrator.store.credits import PostgresCredits
from services.orchestrator.store.database import Database, plain_url
from services.orchestrator.store.fleet import PostgresFleet
from services.orchestrator.store.inventory import PostgresInventory
from services.orchestrator.store.job_event_reader import PostgresJobEvents
from services.orchestrator.store.job_records import PostgresJobRecords
from services.orchestrator.store.jobs import PostgresJobs
from services.orchestrator.store.ledger import PostgresLedger
from services.orchestrator.store.legal_holds import PostgresLegalHolds
from services.orchestrator.store.library import PostgresLibrary
from services.orchestrator.store.limit_overrides import PostgresLimitOverrides
from services.orchestrator.store.manifests import PostgresManifests
from services.orchestrator.store.notification_listener import NotificationListener
from services.orchestrator.store.old_bookings import PostgresOldBookings
from services.orchestrator.store.old_deliveries import PostgresOldDeliveries
from services.orchestrator.store.old_jobs import PostgresOldJobs
from services.orchestrator.store.old_queue_entries import PostgresOldEntries
from services.orchestrator.store.old_trash import PostgresOldTrash
from services.orchestrator.store.operators import PostgresOperators
from services.orchestrator.store.paid_calls import PostgresPaidCalls
from services.orchestrator.store.queue_entries import Queue
from services.orchestrator.store.queue_notifier import QueueNotifier
from services.orchestrator.store.queues import PostgresQueues
from services.orchestrator.store.read_counts import PostgresReadCounters
from services.orchestrator.store.renditions import PostgresRenditions
from services.orchestrator.store.rollups import PostgresRollups
from services.orchestrator.store.service_secrets import PostgresServiceSecrets
from services.orchestrator.store.sessions import PostgresSessions
from services.orchestrator.store.shares import PostgresShares
from services.orchestrator.store.tenants import PostgresTenants
from services.orchestrator.store.trash import PostgresTrash
from services.orchestrator.store.uploads import PostgresUploads
from services.orchestrator.store.usage_warnings import PostgresUsageWarnings
from services.orchestrator.store.user_data import PostgresUserData
from services.orchestrator.store.user_deletions import PostgresUserDeletions
from services.orchestrator.store.webhook_deliveries import PostgresDeliveries
from services.orchestrator.store.webhook_endpoints import PostgresEndpoints


class PostgresStore:
    """The parts, each for one port. Use `start` and `stop` around them; one a process."""

    def __init__(self, url: str, *, clock: Clock, queue: Queue, pool_size: int = 10) -> None:
        self.database = Database(url, pool_size=pool_size)
        self._listener = NotificationListener(plain_url(url))
        self._notifier = QueueNotifier(self.database)
        self.tenants = PostgresTenants(self.database)
        self.service_secrets = PostgresServiceSecrets(self.database)
        self.api_keys = PostgresApiKeys(self.database)
        self.operators = PostgresOperators(self.database)
        self.limit_overrides = PostgresLimitOverrides(self.database)
        self.audit_log = PostgresAuditLog(self.database)
        self.credits = PostgresCredits(self.database)
        self.credentials = PostgresCredentials(self.database, self._listener)
        self.sessions = PostgresSessions(self.database)
        self.counters = PostgresCounters(self.database, clock)
        self.assets = PostgresAssets(self.database, self.counters)
        self.blob_references = PostgresBlobReferences(self.database)
        self.library = PostgresLibrary(self.database)
        self.collections = PostgresCollections(self.database)
        self.shares = PostgresShares(self.database)
        self.read_counters = PostgresReadCounters(self.database)
        self.uploads = PostgresUploads(self.database)
        self.manifests = PostgresManifests(self.database)
        self.renditions = PostgresRenditions(self.database)
        self.usage_warnings = PostgresUsageWarnings(self.database)
        self.counter_audits = PostgresCounterAudits(self.database, clock)
        self.ledger = PostgresLedger(self.database)
        self.rollups = PostgresRollups(self.database, clock)
        self.admissions = PostgresAdmissions(self.database, self._notifier, self.counters, queue)
        self.jobs = PostgresJobs(self.database, self._notifier, clock, queue)
        self.job_records = PostgresJobRecords(self.database)
        self.job_events = PostgresJobEvents(self.database, self._listener)
        self.backend_drains = PostgresBackendDrains(self.database, self._listener)
        self.queues = PostgresQueues(self.database, self._listener, clock)
        self.fleet = PostgresFleet(self.database, clock)
        self.inventory = PostgresInventory(self.database, clock)
        self.paid_calls = PostgresPaidCalls(self.database, clock)
        self.old_jobs = PostgresOldJobs(self.database)
        self.trash = PostgresTrash(self.database)
        self.old_trash = PostgresOldTrash(self.database)
        self.blob_removals = PostgresBlobRemovals(self.database)
        self.old_entries = PostgresOldEntries(self.database, queue)
        self.legal_holds = PostgresLegalHolds(self.database)
        self.user_deletions = PostgresUserDeletions(self.database)
        self.user_data = PostgresUserData(self.database)
        self.old_bookings = PostgresOldBookings(self.database)
        self.webhook_endpoints = PostgresEndpoints(self.database, self.service_secrets)
        self.webhook_deliveries = PostgresDeliveries(self.database, self.service_secrets)
        self.old_deliveries = PostgresOldDeliveries(self.database)

    async def start(self) -> None:
        """Connects and begins to listen."""
        await self._listener.start()

    async def stop(self) -> None:
        """Gives back every connection, those of calls that are just ending too."""
        await self._listener.stop()
        await self._notifier.stop()
        await self.database.close()
