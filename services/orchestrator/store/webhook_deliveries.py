"""PostgresDeliveries: which deliveries are sent next, by one process each, and how their tries ended."""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from services.orchestrator.domain.webhook import AT_ONCE, ERROR_CHARACTERS, LEFT_ALONE, PauseReason
from services.orchestrator.domain.webhook_payload import payload
from services.orchestrator.ports.service_secrets import ServiceSecrets
from services.orchestrator.ports.webhooks import Backlog, Claimed, Failure
from services.orchestrator.store import webhook_rows
from services.orchestrator.store.database import Database

SECRET = "webhooks"
"""Name of the secret of the service from which those of endpoints follow."""
COUNT_MOST = 100_000
"""Deliveries that are counted, at most."""
RECOVERED_MOST = 10_000
"""Deliveries that are due at once when their endpoint answers again, at most; the others have been left alone before
their first try, and are due anyway."""

log = logging.getLogger(__name__)

# Of an endpoint: how many more it may have, and what is due. A later delivery of a subject waits for the earlier ones,
# also while these are claimed: they wait too.
ROOM = """
CASE WHEN endpoint.failing_since IS NULL THEN CAST(:most AS integer) ELSE 1 END - (
    SELECT count(*) FROM webhook_deliveries AS lent
    WHERE lent.endpoint = endpoint.number AND lent.claimed AND lent.next_try_time > :now
)
"""
DUE = """
SELECT delivery.number, delivery.next_try_time FROM webhook_deliveries AS delivery
WHERE delivery.endpoint = endpoint.number AND delivery.state = 'waiting' AND delivery.next_try_time <= :now
    AND NOT EXISTS (
        SELECT FROM webhook_deliveries AS earlier
        WHERE earlier.endpoint = delivery.endpoint AND earlier.subject = delivery.subject
            AND earlier.state = 'waiting' AND earlier.number < delivery.number
    )
ORDER BY delivery.next_try_time, delivery.number
"""
SENDS = "endpoint.state = 'active' AND (endpoint.hold_until IS NULL OR endpoint.hold_until <= :now)"

OF_LANE = "(CAST(:failing AS boolean) IS NULL OR :failing = (endpoint.failing_since IS NOT NULL))"

# Endpoints with waiting deliveries. Each step reads one row of an index, so an endpoint with a million of them takes no
# longer than another.
WAITING = """
WITH RECURSIVE waiting AS (
    (
        SELECT endpoint, next_try_time FROM webhook_deliveries WHERE state = 'waiting'
        ORDER BY endpoint, next_try_time LIMIT 1
    )
    UNION ALL
    SELECT following.* FROM waiting CROSS JOIN LATERAL (
        SELECT endpoint, next_try_time FROM webhook_deliveries AS delivery
        WHERE delivery.state = 'waiting' AND delivery.endpoint > waiting.endpoint
        ORDER BY endpoint, next_try_time LIMIT 1
    ) AS following
)
"""
# The locks make `:most` hold over all processes.
LOCK = sa.text(f"""
{WAITING} SELECT endpoint.number FROM waiting JOIN webhook_endpoints AS endpoint ON endpoint.number = waiting.endpoint
    CROSS JOIN LATERAL ({DUE} LIMIT 1) AS due
WHERE waiting.next_try_time <= :now AND {SENDS} AND {OF_LANE} AND {ROOM} > 0
ORDER BY due.next_try_time LIMIT :limit
FOR NO KEY UPDATE OF endpoint SKIP LOCKED
""")
# A statement of its own: it sees what other processes claimed before the locks.
CLAIM = sa.text(f"""
WITH chosen AS (
    SELECT due.number FROM webhook_endpoints AS endpoint CROSS JOIN LATERAL (
        {DUE} LIMIT greatest(0, {ROOM})
    ) AS due
    WHERE endpoint.number = ANY(CAST(:endpoints AS bigint[])) AND {SENDS}
    ORDER BY due.next_try_time, due.number LIMIT :limit
), claimed AS (
    UPDATE webhook_deliveries AS delivery
    SET claimed = true, claim = claim + 1, tries = tries + 1, last_try_time = :now, next_try_time = :lease_end
    FROM chosen WHERE delivery.number = chosen.number AND delivery.state = 'waiting'
    RETURNING delivery.*
), served AS (
    UPDATE webhook_endpoints SET claim_time = :now WHERE number IN (SELECT endpoint FROM claimed)
)
SELECT claimed.*, endpoint.id AS endpoint_id, endpoint.url, endpoint.salt, endpoint.old_salt,
    endpoint.old_secret_expire_time, endpoint.failing_since, endpoint.failures
FROM claimed JOIN webhook_endpoints AS endpoint ON endpoint.number = claimed.endpoint
ORDER BY claimed.number
""")

OWN = "number = :number AND claim = :claim AND claimed"
DELIVERED = sa.text(f"""
WITH done AS (
    UPDATE webhook_deliveries
    SET state = 'delivered', claimed = false, delivered_time = :now, last_status = :status, last_error = ''
    WHERE {OWN} RETURNING endpoint
), left_alone AS (
    SELECT endpoint.number FROM webhook_endpoints AS endpoint JOIN done ON done.endpoint = endpoint.number
    WHERE endpoint.failures >= {LEFT_ALONE}
), well AS (
    UPDATE webhook_endpoints SET failing_since = NULL, failures = 0, hold_until = NULL FROM done
    WHERE number = done.endpoint AND (failing_since IS NOT NULL OR hold_until IS NOT NULL)
), due AS (
    UPDATE webhook_deliveries SET next_try_time = :now WHERE number IN (
        SELECT delivery.number FROM webhook_deliveries AS delivery JOIN left_alone
            ON left_alone.number = delivery.endpoint
        WHERE delivery.state = 'waiting' AND NOT delivery.claimed AND delivery.next_try_time > :now
            AND coalesce(delivery.last_status, 503) IN (429, 502, 503, 504)
        LIMIT {RECOVERED_MOST}
    )
)
SELECT 1 FROM done
""")
# The later ones of the subject wait with it, or are due now: so those that cannot be sent are not looked at each time.
FAILED = sa.text(f"""
WITH failed AS (
    UPDATE webhook_deliveries
    SET state = :state, claimed = false, next_try_time = :next_try, last_status = :status, last_error = :error
    WHERE {OWN} RETURNING endpoint, subject, number
), later AS (
    UPDATE webhook_deliveries AS delivery SET next_try_time = :next_try FROM failed
    WHERE delivery.endpoint = failed.endpoint AND delivery.subject = failed.subject AND delivery.state = 'waiting'
        AND delivery.number > failed.number AND NOT delivery.claimed
), ill AS (
    UPDATE webhook_endpoints AS endpoint SET failing_since = coalesce(failing_since, :now),
        failures = failures + CASE WHEN failures = :failures THEN 1 ELSE 0 END,
        hold_until = coalesce(CAST(:hold_until AS timestamptz), hold_until)
    FROM failed WHERE endpoint.number = failed.endpoint AND endpoint.url = :url
)
SELECT 1 FROM failed
""")
RELEASE = sa.text(f"""
UPDATE webhook_deliveries SET claimed = false, next_try_time = :time, tries = tries - 1 WHERE {OWN}
""")
PAUSE = sa.text("""
UPDATE webhook_endpoints SET state = 'paused', pause_reason = :reason, pause_time = :now, update_time = :now
WHERE number = :number AND state = 'active' AND url = :url
""")
# A receiver that has much to take is served: its oldest one is due since it was last given some.
BACKLOG = sa.text(f"""
{WAITING} SELECT counted.waiting, oldest_time,
    (SELECT min(greatest(due.next_try_time, endpoint.claim_time)) FROM waiting JOIN webhook_endpoints AS endpoint
            ON endpoint.number = waiting.endpoint CROSS JOIN LATERAL ({DUE} LIMIT 1) AS due
        WHERE waiting.next_try_time <= :now AND {SENDS} AND endpoint.failing_since IS NULL
            AND {ROOM} > 0) AS due_time,
    (SELECT count(*) FROM webhook_endpoints WHERE state = 'active' AND failing_since IS NOT NULL) AS failing,
    (SELECT count(*) FROM (
        SELECT FROM webhook_endpoints AS endpoint JOIN webhook_deliveries AS delivery
            ON delivery.endpoint = endpoint.number AND delivery.state = 'dead'
        WHERE endpoint.state <> 'deleted' LIMIT {COUNT_MOST}
    ) AS dead) AS dead,
    (SELECT count(*) FROM webhook_endpoints WHERE state = 'paused') AS paused
FROM (
    SELECT count(*) AS waiting, min(create_time) AS oldest_time FROM (
        SELECT delivery.create_time FROM webhook_endpoints AS endpoint JOIN webhook_deliveries AS delivery
            ON delivery.endpoint = endpoint.number AND delivery.state = 'waiting'
        WHERE endpoint.state = 'active' LIMIT {COUNT_MOST}
    ) AS waiting
) AS counted
""")


class PostgresDeliveries:
    """The deliveries of one database."""

    def __init__(self, database: Database, secrets: ServiceSecrets) -> None:
        self._database = database
        self._secrets = secrets

    async def claim(
        self, limit: int, now: datetime, lease: timedelta, *, most_per_endpoint: int, failing: bool | None = None
    ) -> Sequence[Claimed]:
        """Takes deliveries that are due, at most so many, those first that have waited longest."""
        key = await self._secrets.secret(SECRET)
        given = {"limit": limit, "now": now, "lease_end": now + lease, "most": most_per_endpoint, "failing": failing}
        async with self._database.writing() as connection:
            endpoints = list((await connection.execute(LOCK, given)).scalars())
            if not endpoints:
                return []
            rows = (await connection.execute(CLAIM, given | {"endpoints": endpoints})).all()
        return [each for row in rows if (each := _claimed(row, key, now)) is not None]

    async def delivered(self, claimed: Claimed, now: datetime, status: int) -> bool:
        """Records a success."""
        return await self._done(DELIVERED, _own(claimed) | {"now": now, "status": status})

    async def failed(
        self, claimed: Claimed, failure: Failure, now: datetime, next_try: datetime, *, hold_until: datetime | None
    ) -> bool:
        """Records a failure, and when the delivery is tried again."""
        given = {"state": "waiting", "next_try": next_try, "hold_until": hold_until}
        return await self._done(FAILED, _own(claimed) | _said(failure) | given | {"now": now})

    async def dead(
        self, claimed: Claimed, failure: Failure, now: datetime, *, hold_until: datetime | None = None
    ) -> bool:
        """Records the last failure of a delivery."""
        given = {"state": "dead", "next_try": now, "hold_until": hold_until}
        return await self._done(FAILED, _own(claimed) | _said(failure) | given | {"now": now})

    async def release(self, claimed: Claimed, time: datetime) -> None:
        """Gives a delivery back that was not tried."""
        async with self._database.reading() as connection:
            await connection.execute(RELEASE, _own(claimed) | {"time": time})

    async def pause(self, claimed: Claimed, reason: PauseReason, now: datetime) -> bool:
        """Pauses the endpoint of a delivery until its tenant activates it."""
        async with self._database.reading() as connection:
            given = {"number": claimed.endpoint, "url": claimed.url, "reason": reason.value, "now": now}
            return bool((await connection.execute(PAUSE, given)).rowcount)

    async def backlog(self, now: datetime) -> Backlog:
        """Returns what waits, for metrics."""
        async with self._database.reading() as connection:
            row = (await connection.execute(BACKLOG, {"now": now, "most": AT_ONCE})).one()
        return Backlog(row.waiting, row.oldest_time, row.due_time, row.dead, row.failing, row.paused)

    async def _done(self, statement: sa.TextClause, given: dict[str, Any]) -> bool:
        async with self._database.reading() as connection:
            return (await connection.execute(statement, given)).one_or_none() is not None


def _claimed(row: sa.Row[Any], key: bytes, now: datetime) -> Claimed | None:
    """Returns a delivery; None: it cannot be read, which must not keep the others from their receivers."""
    try:
        body = payload(row.event_type, row.create_time, webhook_rows.fact(row))
    except Exception:
        fields = {"tenant": row.tenant, "webhook": row.endpoint_id, "delivery": webhook_rows.delivery_id(row.id)}
        log.exception("a webhook cannot be read; it is tried again when its claim has run out", extra=fields)
        return None
    return Claimed(
        number=row.number,
        claim=row.claim,
        id=webhook_rows.delivery_id(row.id),
        tenant=row.tenant,
        endpoint=row.endpoint,
        endpoint_id=row.endpoint_id,
        url=row.url,
        secrets=webhook_rows.secrets_of(row, key, now),
        event_type=row.event_type,
        payload=body,
        create_time=row.create_time,
        tries=row.tries,
        failing_since=row.failing_since,
        failures=row.failures,
    )


def _own(claimed: Claimed) -> dict[str, Any]:
    return {
        "number": claimed.number,
        "claim": claimed.claim,
        "failures": claimed.failures,
        "url": claimed.url,
    }


def _said(failure: Failure) -> dict[str, Any]:
    return {"status": failure.status, "error": failure.error[:ERROR_CHARACTERS].replace("\0", "")}
