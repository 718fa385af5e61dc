"""The program `migrate`: brings the database to the schema of this release, and ends."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

from services.orchestrator.settings import Settings
from services.orchestrator.store.database import check_schema, migrate
from services.orchestrator.store.queue_version import check_queue
from services.orchestrator.store.startup_wait import StartupWait
from services.readiness import Readiness
from services.settings import BadSetting

log = logging.getLogger(__name__)


@asynccontextmanager
async def open_migration(settings: Settings, *, readiness: Readiness) -> AsyncIterator[None]:
    """Waits for the database and migrates it; the block begins when that is done. Raises Unavailable, BadSetting."""
    if not settings.database_url:
        raise BadSetting(
            "migrate needs I2V_DATABASE_URL: an embedded PostgreSQL is migrated by the process that starts it"
        )
    wait = StartupWait(settings.database_url, settings.database_patience_s, partial(readiness.report, "database"))
    await migrate_all(settings.database_url, wait)
    log.info("the schema is current")
    yield


async def migrate_all(url: str, wait: StartupWait) -> None:
    """Brings our schema and that of the queue to this release. Raises Unavailable."""
    # Only here and in a worker: a process that answers callers does without DBOS and its 10 MB of memory.
    from services.orchestrator.worker.dbos_queue import migrate_queue

    await wait.through(partial(asyncio.to_thread, migrate, url))
    await wait.through(partial(asyncio.to_thread, migrate_queue, url))


async def check_all(url: str, wait: StartupWait, show: Callable[[str], None]) -> None:
    """Waits until another process has migrated the database. `show` gets the schema's state. Raises Unavailable."""
    await wait.through(partial(asyncio.to_thread, check_schema, url, show))
    await wait.through(partial(asyncio.to_thread, check_queue, url))
