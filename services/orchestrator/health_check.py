"""The health check: whether jobs and assets can be taken now, and whether counters match their holds and the ledger."""

import asyncio
import logging
from collections.abc import Callable

from services.errors import Unavailable
from services.orchestrator.disk_space import DiskSpace
from services.orchestrator.metrics import PrometheusMeter
from services.orchestrator.ports.blobs import Blobs
from services.orchestrator.ports.counter_audits import CounterAudits
from services.orchestrator.store.database import Database
from services.orchestrator.store.embedded_postgres import EmbeddedPostgres
from services.reasons import ServiceReason
from services.resource_shortage import shortage
from services.rpc.server import RpcServer

CHECK_S = 2.0
AUDIT_S = 60.0

log = logging.getLogger(__name__)


async def check(
    database: Database,
    audits: CounterAudits,
    blobs: Blobs,
    disks: DiskSpace,
    server: RpcServer,
    meter: PrometheusMeter,
    embedded: EmbeddedPostgres | None,
    report: Callable[[str], None],
) -> None:
    """Reports whether jobs and assets can be taken to the health service, and the audit of the counters to metrics.

    `report` gets why they cannot be taken; empty: they can.
    If the embedded PostgreSQL has ended, it starts it again.
    """
    serving, rounds, why = False, 0, ""
    while True:
        try:
            await disks.measure()  # first: the check for free space must not depend on anything else
            await database.check()
            await blobs.check()
            if rounds % round(AUDIT_S / CHECK_S) == 0:
                # One process audits, and all report what it found.
                meter.audited(await audits.changes(every_s=AUDIT_S * 0.9))
            disks.room(0)
        except Exception as error:
            obstacle = error if isinstance(error, Unavailable) else shortage(error)
            if obstacle is None:
                log.exception("the health check failed")
            elif obstacle.reason != why:
                log.warning(
                    "not serving", extra={"reason": obstacle.reason, "place": obstacle.metadata.get("place", "")}
                )
            serving, why = False, obstacle.reason if obstacle is not None else ""
            report(obstacle.message if obstacle is not None else "the health check failed")
        else:
            if not serving:
                log.info("serving")
            serving, why = True, ""
            report("")
        await server.set_serving(serving)
        if embedded is not None and why == ServiceReason.DATABASE_UNAVAILABLE:
            await _revive(embedded)
        rounds += 1
        await asyncio.sleep(CHECK_S)


async def _revive(embedded: EmbeddedPostgres) -> None:
    """Starts the embedded PostgreSQL again if it has ended."""
    try:
        if await asyncio.to_thread(embedded.revive):
            log.warning("the embedded PostgreSQL had ended and was started again")
    except Exception as error:
        log.error("the embedded PostgreSQL cannot be started again", extra={"cause": str(error)})
