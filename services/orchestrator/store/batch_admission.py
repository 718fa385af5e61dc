"""The admission of a batch: the admission statement of each job, in one transaction.

The transaction first locks all counters of all jobs, in the order in which every transaction locks counters. So it
waits for no transaction that waits for it, and no other submission of the tenant comes between its statements.
"""

from collections.abc import Sequence
from typing import Any

import psycopg
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.domain.limits.hold import Hold
from services.orchestrator.domain.turns import TenantShare
from services.orchestrator.ports.admissions import NewJob
from services.orchestrator.store import admission_statement
from services.orchestrator.store.queue_entries import Queue

LOCK = sa.text("""
INSERT INTO counters AS counter (tenant, subject, measure, period, "limit", used, held, credit)
SELECT :tenant, subject, measure, period, most, 0, 0, 0
FROM unnest(CAST(:subjects AS text[]), CAST(:measures AS text[]), CAST(:periods AS text[]), CAST(:limits AS bigint[]))
    WITH ORDINALITY AS asked (subject, measure, period, most, place)
ORDER BY place
ON CONFLICT (tenant, subject, measure, period) DO UPDATE SET held = counter.held
""")


async def lock_counters(connection: AsyncConnection, tenant: str, holds: Sequence[Sequence[Hold]]) -> None:
    """Locks the counters of all jobs until the end of the transaction; makes those that do not exist yet."""
    limits = {hold.counter: hold.most for each in holds for hold in each}
    names = sorted(limits)
    given = {
        "tenant": tenant,
        "subjects": [name.subject for name in names],
        "measures": [name.measure for name in names],
        "periods": [name.period for name in names],
        "limits": [limits[name] for name in names],
    }
    await connection.execute(LOCK, given)


async def book_all(
    connection: AsyncConnection, queue: Queue, new: Sequence[tuple[NewJob, Sequence[Hold]]], share: TenantShare
) -> bool:
    """Books, stores and queues jobs of one tenant.

    Returns False when a counter cannot take a hold: then undo the transaction.
    """
    driver: psycopg.AsyncConnection[Any] = (await connection.get_raw_connection()).driver_connection  # type: ignore[assignment]
    values = [
        admission_statement.values(queue, each.job, each.fingerprint, holds, each.backend, share) for each, holds in new
    ]
    try:
        async with driver.cursor() as cursor:
            await cursor.executemany(admission_statement.STATEMENT, values)
    except psycopg.errors.NotNullViolation as error:
        if error.diag.column_name != "quote_micros":
            raise
        return False
    return True
