"""The job queue by DBOS: each queue entry is a DBOS workflow in the same database as the jobs."""

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from time import monotonic
from typing import ClassVar

from dbos import DBOS, DBOSClient, DBOSConfig
from sqlalchemy.exc import SQLAlchemyError

from services.errors import Unavailable
from services.orchestrator.ports.backend import Limits
from services.orchestrator.ports.job_queue import RunJob
from services.orchestrator.ports.shared_backend import SharedBackend
from services.orchestrator.store.database import KEEPALIVE
from services.orchestrator.worker.new_work_poller import Entries, NewWorkPoller, Paused
from services.orchestrator.worker.queue_claimer import PERIOD_S, POLL_S, UNLIMITED, QueueClaimer
from services.orchestrator.worker.queue_names import APPLICATION_NAME, APPLICATION_VERSION, MAKE_VIDEO
from services.orchestrator.worker.shared_room import SharedRoom
from services.reasons import ServiceReason

NOTIFIER_S = 0.2
"""Seconds between DBOS's polls for messages of workflows. Ours send none; the default is a hundred polls a second."""
RECOVERIES = 1_000_000
"""Never give up a workflow: a job ends by its own deadline."""


def migrate_queue(url: str) -> None:
    """Brings DBOS's own tables, in the schema `dbos` of the same database, to the version of the library."""
    DBOS.migrate(url)


class DbosQueue:
    """The queues of one worker, one per backend. DBOS has room for one in a process."""

    _reserved: ClassVar[bool] = False
    """Whether DBOS runs in this process, or is still ending."""

    def __init__(
        self,
        url: str,
        *,
        executor: str,
        slots: Mapping[str, Limits],
        entries: Entries,
        paused: Paused,
        shared: Mapping[str, SharedBackend] | None = None,
        migrates: bool = True,
    ) -> None:
        """`executor` marks the entries that this worker takes; `slots` limits the jobs of each backend.

        The slots of `shared` backends follow their servers. While a queue is `paused` no job of it is taken.
        `migrates`: whether the start may change DBOS's tables.
        """
        self._url = url
        self._executor = executor
        self._slots = slots
        self._shared = shared or {}
        self._migrates = migrates
        self._poller = NewWorkPoller(entries, paused)
        self._claimers: Mapping[str, QueueClaimer] = {}

    def reserve(self) -> None:
        """Reserves DBOS for this queue. Raises RuntimeError while another queue of this process has it."""
        if DbosQueue._reserved:
            # DBOS would give this one the other's object, with the other's database, and then take it away from both.
            raise RuntimeError("a process has room for one worker, and the one before has not stopped yet")
        DbosQueue._reserved = True

    async def start(self, run: RunJob) -> None:
        """Starts DBOS and polls the queues of this worker's backends."""
        config: DBOSConfig = {
            "name": APPLICATION_NAME,
            "system_database_url": self._url,
            "application_version": APPLICATION_VERSION,
            "executor_id": self._executor,
            "enable_otlp": False,
            "log_level": "WARNING",
            "sys_db_pool_size": 4,
            "run_migrations": self._migrates,
            "notification_coalesce_sec": NOTIFIER_S,
            "db_engine_kwargs": {"connect_args": dict(KEEPALIVE)},
        }
        dbos = DBOS(config=config)

        async def make_video(job_id: str) -> None:
            task, entry = asyncio.current_task(), DBOS.workflow_id
            assert task is not None and entry is not None
            begin_s = monotonic()

            def free_slot(_: object) -> None:
                for claimer in self._claimers.values():
                    claimer.ended(entry, monotonic() - begin_s)
                self._poller.wake()

            task.add_done_callback(free_slot)  # DBOS's own task: by then the slot is free
            await run(job_id, entry)

        DBOS.workflow(name=MAKE_VIDEO, max_recovery_attempts=RECOVERIES)(make_video)
        await asyncio.to_thread(_register_queues, self._url, self._slots)
        DBOS.listen_queues([])  # the poller does
        DBOS.launch()
        # Only the queues of this worker's backends: the database may have queues of others.
        rooms = {name: SharedRoom(backend) for name, backend in self._shared.items()}
        self._claimers = {
            name: QueueClaimer(dbos, name, limits, rooms.get(name)) for name, limits in self._slots.items()
        }
        self._poller.start(self._claimers)

    def stop(self) -> None:
        """Ends the polling. An entry that is being dequeued may still arrive."""
        self._poller.stop()

    async def close(self) -> None:
        """Ends the polling and DBOS; this takes seconds."""
        self._poller.stop()
        # DBOS made its threads the loop's default and is about to end them; other code still needs some.
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor())
        try:
            await asyncio.to_thread(self._poller.join)
            await asyncio.to_thread(DBOS.destroy, destroy_registry=True)
        finally:
            loop.set_default_executor(ThreadPoolExecutor())
            DbosQueue._reserved = False


def _register_queues(url: str, slots: Mapping[str, Limits]) -> None:
    """Registers the queues before the launch: DBOS reads the list then, and every second later."""
    client = DBOSClient(system_database_url=url, application_name=APPLICATION_NAME)
    try:
        for backend, limits in slots.items():
            client.register_queue(
                backend,
                worker_concurrency=limits.per_worker,
                global_concurrency=limits.total,
                limiter={"limit": limits.per_minute, "period": PERIOD_S} if limits.per_minute else None,
                partition_concurrency=min(UNLIMITED, limits.total or UNLIMITED),
                polling_interval_sec=POLL_S,
            )
    finally:
        client.destroy()


class DbosEntries:
    """Removes entries from DBOS's tables by its own function, which knows all of them."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def remove(self, entries: Sequence[str]) -> None:
        """Removes entries by their ids, whether they exist or not. Raises Unavailable."""
        try:
            await asyncio.to_thread(_remove_entries, self._url, list(entries))
        except (SQLAlchemyError, OSError) as error:
            raise Unavailable("The database cannot be reached.", reason=ServiceReason.DATABASE_UNAVAILABLE) from error


def _remove_entries(url: str, entries: list[str]) -> None:
    client = DBOSClient(system_database_url=url, application_name=APPLICATION_NAME)
    try:
        client.delete_workflows(entries)
    finally:
        client.destroy()
