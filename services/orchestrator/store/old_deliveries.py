"""PostgresOldDeliveries: deliveries of webhooks that are due to be removed."""

from datetime import datetime

import sqlalchemy as sa

from services.orchestrator.domain.retention import Due
from services.orchestrator.store.database import Database

COUNT_MOST = 100_000
"""Deliveries that are counted as due, at most."""

FREE = "NOT EXISTS (SELECT FROM tenants WHERE tenants.id = {of}.tenant AND legal_hold)"
# Two queries, so that each has its index.
DUE = f"""
SELECT number, create_time FROM (
    SELECT delivery.number, delivery.create_time
    FROM webhook_deliveries AS delivery JOIN webhook_endpoints AS endpoint ON endpoint.number = delivery.endpoint
    WHERE delivery.create_time < :before AND endpoint.state <> 'deleted'
        AND (delivery.state <> 'waiting' OR endpoint.state <> 'active') AND {FREE.format(of="delivery")}
    ORDER BY delivery.create_time, delivery.number LIMIT :limit
) AS old
UNION ALL
SELECT number, create_time FROM (
    SELECT delivery.number, delivery.create_time
    FROM webhook_endpoints AS endpoint JOIN webhook_deliveries AS delivery ON delivery.endpoint = endpoint.number
    WHERE endpoint.state = 'deleted' AND {FREE.format(of="endpoint")} LIMIT :limit
) AS of_deleted
"""
COUNT = sa.text(f"SELECT count(*), min(create_time) FROM ({DUE}) AS due")
# A transaction that has seen the endpoint before it was deleted may still write a delivery: it has a day for that.
REMOVE = sa.text(f"""
WITH removed AS (
    DELETE FROM webhook_deliveries WHERE number IN (SELECT number FROM ({DUE}) AS due LIMIT :limit) RETURNING endpoint
), ended AS (
    DELETE FROM webhook_endpoints AS endpoint
    WHERE state = 'deleted' AND delete_time < now() - interval '1 day' AND {FREE.format(of="endpoint")}
        AND NOT EXISTS (SELECT FROM webhook_deliveries WHERE webhook_deliveries.endpoint = endpoint.number)
)
SELECT count(*) FROM removed
""")


class PostgresOldDeliveries:
    """The old deliveries of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def due(self, before: datetime) -> Due:
        """Returns what is due."""
        async with self._database.reading() as connection:
            return Due(*(await connection.execute(COUNT, {"before": before, "limit": COUNT_MOST})).one())

    async def remove(self, before: datetime, *, limit: int) -> int:
        """Removes deliveries that are due, at most so many, and deleted endpoints without any. Returns how many."""
        async with self._database.reading() as connection:
            return int((await connection.execute(REMOVE, {"before": before, "limit": limit})).scalar_one())
