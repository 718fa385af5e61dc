"""The admission of a batch: the admission statement of all its jobs, in a transaction that locks their counters first.

The transaction first locks all counters of all jobs, in the order in which every transaction locks counters. So it
waits for no transaction that waits for it, and no other submission of the tenant comes between its statements.
"""

from collections.abc import Sequence
from typing import Any

import psycopg
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.orchestrator.domain.limits.hold import Hold
from services.orchestrator.store import admission_statement
from services.orchestrator.store.admission_statement import Booking
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


async def book_all(connection: AsyncConnection, queue: Queue, bookings: Sequence[Booking]) -> bool:
    """Books, stores and queues jobs.

    Returns False when a counter cannot take what they ask: then undo the transaction.
    """
    if not bookings:
        return True
    driver: psycopg.AsyncConnection[Any] = (await connection.get_raw_connection()).driver_connection  # type: ignore[assignment]
    return await admission_statement.book(driver, queue, bookings)
