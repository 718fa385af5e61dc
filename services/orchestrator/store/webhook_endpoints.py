"""PostgresEndpoints: the endpoints of tenants, and what becomes of their deliveries by hand."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from services.errors import NotFound, PreconditionFailed, RequestIdReused
from services.orchestrator.domain.audit import Act
from services.orchestrator.domain.webhook import (
    ENDPOINTS_MOST,
    Delivery,
    DeliveryState,
    Endpoint,
    EndpointKey,
    EndpointState,
    NewEndpoint,
    secret,
)
from services.orchestrator.domain.webhook_url import origin
from services.orchestrator.ports.service_secrets import ServiceSecrets
from services.orchestrator.ports.webhooks import Undelivered
from services.orchestrator.store import audit_log, webhook_replays, webhook_rows
from services.orchestrator.store.database import Database
from services.orchestrator.store.schema import webhook_deliveries, webhook_endpoints
from services.orchestrator.store.webhook_deliveries import SECRET
from services.reasons import WebhookReason

COUNT_MOST = 10_000
"""Undelivered ones of an endpoint that are counted, at most."""
LOCK_TENANT = sa.text("SELECT pg_advisory_xact_lock(hashtextextended(:tenant || '/webhooks', 0))")
COUNT = sa.text("SELECT count(*) FROM webhook_endpoints WHERE tenant = :tenant AND state <> 'deleted'")
CREATE = sa.text("""
INSERT INTO webhook_endpoints (tenant, id, url, event_types, description, secret_time, create_time, update_time)
VALUES (:tenant, :id, :url, CAST(:event_types AS text[]), :description, :now, :now, :now) RETURNING *
""")
# One that was paused begins as if it had never failed.
CHANGE = sa.text("""
UPDATE webhook_endpoints SET url = :url, event_types = CAST(:event_types AS text[]), description = :description,
    state = :state, update_time = :now, failing_since = :failing_since, failures = :failures,
    hold_until = CASE WHEN CAST(:failing_since AS timestamptz) IS NOT NULL THEN hold_until END,
    pause_reason = :pause_reason, pause_time = :pause_time
WHERE number = :number RETURNING *
""")
DUE_NOW = sa.text("""
UPDATE webhook_deliveries SET next_try_time = least(next_try_time, :now), tries = 0
WHERE endpoint = :number AND state = 'waiting' AND NOT claimed AND (next_try_time > :now OR tries > 0)
""")
# Its salts go too: no secret of it can be made any more.
_DELETE = """
UPDATE webhook_endpoints SET state = 'deleted', url = '', description = '', salt = gen_random_uuid(), old_salt = NULL,
    old_secret_expire_time = NULL, pause_reason = NULL, pause_time = NULL, update_time = :now, delete_time = :now
"""
DELETE = sa.text(f"{_DELETE} WHERE number = :number")
DELETE_ALL = sa.text(f"{_DELETE} WHERE tenant = :tenant AND state <> 'deleted'")
ROTATE = sa.text("""
UPDATE webhook_endpoints SET salt = gen_random_uuid(), rotation = :request_id, secret_time = :now, update_time = :now,
    old_salt = CASE WHEN :old_until > :now THEN salt END,
    old_secret_expire_time = CASE WHEN :old_until > :now THEN CAST(:old_until AS timestamptz) END
WHERE number = :number RETURNING *
""")
UNDELIVERED = sa.text(f"""
SELECT (SELECT count(*) FROM (
        SELECT FROM webhook_deliveries WHERE endpoint = :number AND state = 'waiting' LIMIT {COUNT_MOST}
    ) AS waiting) AS waiting,
    (SELECT count(*) FROM (
        SELECT FROM webhook_deliveries WHERE endpoint = :number AND state = 'dead' LIMIT {COUNT_MOST}
    ) AS dead) AS dead
""")


class PostgresEndpoints:
    """The endpoints of one database."""

    def __init__(self, database: Database, secrets: ServiceSecrets) -> None:
        self._database = database
        self._secrets = secrets

    async def create(self, new: NewEndpoint, act: Act) -> tuple[Endpoint, str]:
        """Makes an endpoint. Returns it with its secret; an earlier one of the same key without, and unchanged."""
        key = await self._secrets.secret(SECRET)
        async with self._database.writing() as connection:
            await connection.execute(LOCK_TENANT, {"tenant": new.key.tenant})
            table = webhook_endpoints.c
            same = sa.select(webhook_endpoints).where(table.tenant == new.key.tenant, table.id == new.key.id)
            if (there := (await connection.execute(same)).one_or_none()) is not None:
                return _repeated(webhook_rows.endpoint(there), new), ""
            if int((await connection.execute(COUNT, {"tenant": new.key.tenant})).scalar_one()) >= ENDPOINTS_MOST:
                raise PreconditionFailed(
                    f"This tenant has {ENDPOINTS_MOST} endpoints, and no more are possible. Delete one.",
                    reason=WebhookReason.WEBHOOKS_TOO_MANY,
                    metadata={"limit": str(ENDPOINTS_MOST)},
                )
            given = {
                "tenant": new.key.tenant,
                "id": new.key.id,
                "url": new.url,
                "event_types": list(new.event_types),
                "description": new.description,
                "now": act.time,
            }
            row = (await connection.execute(CREATE, given)).one()
            made = webhook_rows.endpoint(row)
            await audit_log.write(connection, act, {}, _logged(made))
            return made, secret(key, made.number, str(row.salt))

    async def get(self, key: EndpointKey) -> Endpoint:
        """Returns an endpoint. Raises NotFound."""
        async with self._database.reading() as connection:
            return await find(connection, key)

    async def page(self, tenant: str, before: int | None, limit: int) -> Sequence[Endpoint]:
        """Returns endpoints of a tenant with lower numbers than `before`, the newest first."""
        table = webhook_endpoints.c
        query = sa.select(webhook_endpoints).where(table.tenant == tenant, table.state != EndpointState.DELETED.value)
        if before is not None:
            query = query.where(table.number < before)
        async with self._database.reading() as connection:
            rows = await connection.execute(query.order_by(table.number.desc()).limit(limit))
            return [webhook_rows.endpoint(row) for row in rows]

    async def change(self, key: EndpointKey, decide: Callable[[Endpoint], Endpoint], act: Act) -> Endpoint:
        """Stores what `decide` returns for the locked endpoint. Raises NotFound, and what `decide` raises."""
        async with self._database.writing() as connection:
            before = await find(connection, key, lock=True)
            after = decide(before)
            given = {
                "number": before.number,
                "url": after.url,
                "event_types": list(after.event_types),
                "description": after.description,
                "state": after.state.value,
                "failing_since": after.failing_since,
                "failures": after.failures,
                "pause_reason": after.pause_reason.value if after.pause_reason else None,
                "pause_time": after.pause_time,
                "now": act.time,
            }
            stored = webhook_rows.endpoint((await connection.execute(CHANGE, given)).one())
            if stored.state is EndpointState.ACTIVE and _repaired(before, stored):
                await connection.execute(DUE_NOW, {"number": before.number, "now": act.time})
            await audit_log.write(connection, act, _logged(before), _logged(stored))
            return stored

    async def delete(self, key: EndpointKey, act: Act) -> None:
        """Deletes an endpoint: nothing more is recorded for it or sent to it. Raises NotFound."""
        async with self._database.writing() as connection:
            before = webhook_rows.endpoint(await _found(connection, key, lock=True, deleted=True))
            if before.state is EndpointState.DELETED:
                return
            await connection.execute(DELETE, {"number": before.number, "now": act.time})
            await audit_log.write(connection, act, _logged(before), _logged(before) | {"state": "deleted"})

    async def rotate(self, key: EndpointKey, request_id: str, overlap: timedelta, act: Act) -> tuple[Endpoint, str]:
        """Gives an endpoint another secret, and returns both. The one before signs too for the overlap."""
        secret_key = await self._secrets.secret(SECRET)
        async with self._database.writing() as connection:
            row = await _found(connection, key, lock=True)
            before = after = webhook_rows.endpoint(row)
            if row.rotation != request_id:
                given = {"number": before.number, "now": act.time, "old_until": act.time + overlap}
                row = (await connection.execute(ROTATE, given | {"request_id": request_id})).one()
                after = webhook_rows.endpoint(row)
                await audit_log.write(connection, act, _logged(before), _logged(after))
            return after, secret(secret_key, after.number, str(row.salt))

    async def test(self, key: EndpointKey, act: Act) -> Delivery:
        """Makes a delivery of a test, and has the endpoint tried at once; a test that waits already is returned."""
        async with self._database.writing() as connection:
            found = await find(connection, key, lock=True)
            if found.state is not EndpointState.ACTIVE:
                what = f"The endpoint is {found.state.value}, so nothing is sent to it. Set it to ACTIVE first."
                raise PreconditionFailed(what, reason=WebhookReason.WEBHOOK_NOT_ACTIVE)
            return await webhook_replays.test(connection, found, act)

    async def deliveries(
        self, key: EndpointKey, state: DeliveryState | None, before: int | None, limit: int
    ) -> Sequence[Delivery]:
        """Returns deliveries with lower numbers than `before`, the newest first. Raises NotFound."""
        table = webhook_deliveries.c
        async with self._database.reading() as connection:
            endpoint = await find(connection, key)
            found: list[Delivery] = []
            # A query for each state, so that each has its index.
            for each in (state,) if state else DeliveryState:
                query = sa.select(webhook_deliveries).where(
                    table.endpoint == endpoint.number, table.state == each.value
                )
                if before is not None:
                    query = query.where(table.number < before)
                rows = await connection.execute(query.order_by(table.number.desc()).limit(limit))
                found += [webhook_rows.delivery(row) for row in rows]
        return sorted(found, key=lambda delivery: -delivery.number)[:limit]

    async def replay(self, key: EndpointKey, ids: Sequence[str], act: Act) -> int:
        """Has deliveries sent again that are dead or were delivered."""
        async with self._database.writing() as connection:
            found = await find(connection, key, lock=True)
            replayed = await webhook_replays.by_ids(connection, found, ids, act.time)
            await audit_log.write(connection, act, {}, {"replayed": replayed})
            return replayed

    async def replay_dead(self, key: EndpointKey, since: datetime, act: Act, *, limit: int) -> int:
        """Has dead deliveries of events since a time sent again, the oldest first."""
        async with self._database.writing() as connection:
            found = await find(connection, key, lock=True)
            replayed = await webhook_replays.dead(connection, found, since, act.time, limit)
            await audit_log.write(connection, act, {}, {"replayed": replayed})
            return replayed

    async def undelivered(self, endpoint: int) -> Undelivered:
        """Returns how many deliveries have not arrived."""
        async with self._database.reading() as connection:
            return Undelivered(*(await connection.execute(UNDELIVERED, {"number": endpoint})).one())


async def find(connection: AsyncConnection, key: EndpointKey, *, lock: bool = False) -> Endpoint:
    """Returns an endpoint, locked until the transaction ends if asked. Raises NotFound."""
    return webhook_rows.endpoint(await _found(connection, key, lock=lock))


async def _found(connection: AsyncConnection, key: EndpointKey, *, lock: bool, deleted: bool = False) -> sa.Row[Any]:
    table = webhook_endpoints.c
    query = sa.select(webhook_endpoints).where(table.tenant == key.tenant, table.id == key.id)
    if not deleted:
        query = query.where(table.state != EndpointState.DELETED.value)
    row = (await connection.execute(query.with_for_update() if lock else query)).one_or_none()
    if row is None:
        raise NotFound("webhook", f"webhooks/{key.id}")
    return row


def _repaired(before: Endpoint, after: Endpoint) -> bool:
    """Whether what failed before a change says nothing about the tries after it."""
    of_tries = before.state, before.url, before.failing_since
    return of_tries != (after.state, after.url, after.failing_since)


def _repeated(there: Endpoint, new: NewEndpoint) -> Endpoint:
    """Returns the endpoint that the same request made before. Raises RequestIdReused if it is another one."""
    same = (there.url, there.event_types, there.description) == (new.url, new.event_types, new.description)
    if there.state is EndpointState.DELETED or not same:
        raise RequestIdReused(metadata={"request_id": new.key.id, "webhook": f"webhooks/{new.key.id}"})
    return there


def _logged(endpoint: Endpoint) -> dict[str, Any]:
    """Returns what the audit log has of an endpoint: of the URL, whose path can be a secret, only the origin."""
    return {
        "url": origin(endpoint.url),
        "event_types": list(endpoint.event_types),
        "description": endpoint.description,
        "state": endpoint.state.value,
        "secret_time": endpoint.secret_time,
        "old_secret_expire_time": endpoint.old_secret_expire_time,
    }
