"""Processes that write events, and that deliver them, are killed at any moment: no event is lost, and none made up."""

import asyncio
import json
import os
import random
import signal
from collections import defaultdict
from pathlib import Path

import sqlalchemy as sa

from services.orchestrator.domain.webhook import OF_KIND, EventType
from services.orchestrator.store.postgres_store import PostgresStore
from tests.support.webhook_processes import LEASE, processes
from tests.support.webhooks import an_endpoint

ROUNDS, WRITERS, SENDERS, ENOUGH = 6, 2, 2, 100
# Events without a delivery, and deliveries without an event, or more than one of an event.
WRONG = sa.text("""
WITH wanted AS (
    SELECT endpoint.number AS endpoint, 'jobs/' || job_id AS subject, sequence
    FROM job_events JOIN jsonb_each_text(CAST(:types AS jsonb)) AS type (kind, name) ON type.kind = job_events.kind
        JOIN webhook_endpoints AS endpoint ON type.name = ANY (endpoint.event_types)
), written AS (
    SELECT endpoint, subject, sequence FROM webhook_deliveries WHERE subject LIKE 'jobs/%'
)
(SELECT 'lost' AS what, * FROM (SELECT * FROM wanted EXCEPT ALL SELECT * FROM written) AS lost)
UNION ALL (SELECT 'made up', * FROM (SELECT * FROM written EXCEPT ALL SELECT * FROM wanted) AS more)
""")
# The first endpoint wants all: the last event of an asset says where it is now, and its events alternate.
ASSETS = sa.text("""
WITH said AS (
    SELECT number, subject, event_type FROM webhook_deliveries
    WHERE endpoint = (SELECT min(number) FROM webhook_endpoints) AND subject LIKE 'assets/%'
)
SELECT sha256 FROM library_entries WHERE (delete_time IS NULL) IS DISTINCT FROM (
    SELECT event_type = 'asset.created' FROM said WHERE subject = 'assets/' || sha256 ORDER BY number DESC LIMIT 1
)
UNION ALL
SELECT subject FROM (
    SELECT subject, event_type = lag(event_type) OVER (PARTITION BY subject ORDER BY number) AS twice FROM said
) AS said WHERE twice
""")
DELIVERED = sa.text("SELECT endpoint, id, subject FROM webhook_deliveries WHERE state = 'delivered' ORDER BY number")
ALL = sa.text("SELECT count(*) FROM webhook_deliveries")


async def written(store: PostgresStore) -> int:
    async with store.database.reading() as connection:
        return int((await connection.execute(ALL)).scalar_one())


async def test_each_event_is_delivered_at_least_once_in_order_whoever_is_killed(
    store: PostgresStore, database: str, tmp_path: Path
) -> None:
    await an_endpoint(store)
    await an_endpoint(store, EventType.JOB_STARTED, EventType.JOB_CANCELLED, EventType.ASSET_DELETED)
    received, dice = tmp_path / "received", random.Random(7)
    with processes(database, received) as forked:
        number = 0
        while number < ROUNDS or await written(store) < ENOUGH:  # on a busy machine a round does little
            number += 1
            moment = number * (LEASE.seconds + 1)  # the leases of those that were killed are over
            children = [forked.start("write", number * WRITERS + writer) for writer in range(WRITERS)]
            children += [forked.start("send", moment) for _ in range(SENDERS)]
            for child in children:
                await asyncio.sleep(dice.uniform(0.05, 0.2))  # a random moment of its work, and of that of the others
                os.kill(child, signal.SIGKILL)
            forked.wait()
        forked.start("send", (number + 1) * (LEASE.seconds + 1))
        forked.wait()
    types = {kind.__name__: name for kind, name in OF_KIND.items()}
    async with store.database.reading() as connection:
        assert (await connection.execute(WRONG, {"types": json.dumps(types)})).all() == []
        assert (await connection.execute(ASSETS)).all() == []
        delivered = (await connection.execute(DELIVERED)).all()
    got = [line.split() for line in received.read_text().splitlines()]
    assert len(delivered) == await written(store)
    subjects = {f"evt_{row.id.hex}": (row.endpoint, row.subject) for row in delivered}
    assert {name for name, _ in got} == subjects.keys()  # repeats have the same id
    order = defaultdict(list)
    for name, place in got:
        order[subjects[name]].append(int(place))
    assert all(places == sorted(places) for places in order.values())
