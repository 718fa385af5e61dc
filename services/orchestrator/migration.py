"""The program `migrate`: brings the database to the schema of this release, and ends."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from services.orchestrator.settings import Settings
from services.orchestrator.store.database import migrate
from services.orchestrator.store.startup_wait import StartupWait
from services.orchestrator.worker.dbos_queue import migrate_queue
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
    await wait.through(partial(asyncio.to_thread, migrate, settings.database_url))
    await wait.through(partial(asyncio.to_thread, migrate_queue, settings.database_url))
    log.info("the schema is current")
    yield
