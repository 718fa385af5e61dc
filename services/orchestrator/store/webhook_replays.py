"""Deliveries that are made or begin again by hand, in a transaction that has locked their endpoint."""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.errors import NotFound
from services.orchestrator.domain.audit import Act
from services.orchestrator.domain.webhook import TEST, Delivery, Endpoint
from services.orchestrator.store import audit_log, webhook_rows

AGAIN = """
UPDATE webhook_deliveries SET state = 'waiting', next_try_time = :now, tries = 0, delivered_time = NULL,
    last_status = NULL, last_error = ''
"""
FIND = sa.text("SELECT id FROM webhook_deliveries WHERE endpoint = :endpoint AND id = ANY(CAST(:ids AS uuid[]))")
BY_IDS = sa.text(f"""
{AGAIN} WHERE endpoint = :endpoint AND id = ANY(CAST(:ids AS uuid[])) AND state <> 'waiting'
""")
DEAD = sa.text(f"""
{AGAIN} WHERE number IN (
    SELECT number FROM webhook_deliveries
    WHERE endpoint = :endpoint AND state = 'dead' AND create_time >= :since ORDER BY number LIMIT :limit
)
""")
# One that is under way keeps the time at which its claim ends.
OPEN_TEST = sa.text("""
UPDATE webhook_deliveries SET next_try_time = CASE WHEN claimed THEN next_try_time ELSE least(next_try_time, :now) END
WHERE endpoint = :endpoint AND subject = :subject AND state = 'waiting' RETURNING *
""")
NEW_TEST = sa.text("""
INSERT INTO webhook_deliveries (endpoint, tenant, event_type, subject, body, create_time, next_try_time)
VALUES (:endpoint, :tenant, :event_type, :subject, '{}', :now, :now) RETURNING *
""")
TRY_NOW = sa.text("UPDATE webhook_endpoints SET hold_until = NULL WHERE number = :endpoint AND hold_until IS NOT NULL")


async def test(connection: AsyncConnection, endpoint: Endpoint, act: Act) -> Delivery:
    """Makes a delivery of a test, unless one waits, and has it tried at once."""
    given = {"endpoint": endpoint.number, "subject": f"webhooks/{endpoint.key.id}", "now": act.time}
    row = (await connection.execute(OPEN_TEST, given)).first()
    if row is None:
        new = given | {"tenant": endpoint.key.tenant, "event_type": TEST}
        row = (await connection.execute(NEW_TEST, new)).one()
    await connection.execute(TRY_NOW, given)
    made = webhook_rows.delivery(row)
    await audit_log.write(connection, act, {}, {"delivery": made.id})
    return made


async def by_ids(connection: AsyncConnection, endpoint: Endpoint, ids: Sequence[str], now: datetime) -> int:
    """Sends deliveries again that do not wait. Returns how many there are. Raises NotFound at one that is none."""
    numbers = {text: webhook_rows.uuid_of(text) for text in ids}
    given = {"endpoint": endpoint.number, "ids": [number for number in numbers.values() if number], "now": now}
    found = set((await connection.execute(FIND, given)).scalars())
    for text, number in numbers.items():
        if number not in found:
            raise NotFound("delivery", f"webhooks/{endpoint.key.id}/deliveries/{text[:80]}")
    await connection.execute(BY_IDS, given)
    await connection.execute(TRY_NOW, given)
    return len(found)


async def dead(connection: AsyncConnection, endpoint: Endpoint, since: datetime, now: datetime, limit: int) -> int:
    """Sends dead deliveries again, the oldest first. Returns how many."""
    given = {"endpoint": endpoint.number, "since": since, "limit": limit, "now": now}
    await connection.execute(TRY_NOW, given)
    return (await connection.execute(DEAD, given)).rowcount
