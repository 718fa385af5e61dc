"""What the outbox of webhooks costs the statements that write events, for tenants without an endpoint and with one.

`python -m tools.bench_outbox`: a minute. Each call is timed next to its floor: the same statement without the parts
that write deliveries, by psycopg alone. The two take turns, so that they share what else the machine does. What counts
is processor time, of the quieter blocks: other work of the machine changes it least. A submission is compared with its
statement alone, and an event with all that the store does to record it.
"""

import argparse
import asyncio
import itertools
import json
import re
import statistics
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy as sa

from services.orchestrator.clock_and_ids import SystemClock
from services.orchestrator.domain.audit import Act
from services.orchestrator.domain.event import FragmentReady, Started
from services.orchestrator.domain.webhook import EndpointKey, EventType, NewEndpoint
from services.orchestrator.store import admission_statement, event_writer, webhook_outbox
from services.orchestrator.store.database import Database, migrate, plain_url
from services.orchestrator.store.embedded_postgres import EmbeddedPostgres
from services.orchestrator.store.notification_listener import CHANGES
from services.orchestrator.store.postgres_store import PostgresStore
from services.orchestrator.store.queue_entries import Queue
from services.orchestrator.store.service_secrets import PostgresServiceSecrets
from services.orchestrator.store.tenants import PostgresTenants
from services.orchestrator.store.webhook_endpoints import PostgresEndpoints
from services.orchestrator.worker.dbos_queue import migrate_queue
from services.orchestrator.worker.queue_names import APPLICATION_NAME, APPLICATION_VERSION, MAKE_VIDEO
from tools.bench_submit import TENANT, values_of_a_job

CALLS, WARM_UP, BLOCK = 4000, 200, 50
MOST_PERCENT = 3.0
"""What the outbox may add for tenants without an endpoint."""
FOUND = "SELECT * FROM jobs WHERE id = %(id)s FOR UPDATE"
OUTBOX = (webhook_outbox.OF_EVENT, webhook_outbox.OF_ADMISSION)
"""The parts of the statements that write deliveries."""
FRAGMENT = {
    "kind": "FragmentReady",
    "event_type": EventType.JOB_FRAGMENT_READY.value,
    "body": json.dumps({"index": 0, "asset": "f" * 64, "frames": 8, "size_bytes": 100_000, "progress": 0.5}),
    "terminal": False,
    "changes": CHANGES,
    "stops": None,
}
RUNNING: dict[str, Any] = {
    "state": "running",
    "stopping": False,
    "stage": "generate",
    "progress": 0.5,
    "attempt": 1,
    "call": "none",
    "workflow": "",
    "charged_micros": None,
    "output": None,
    "error": None,
    "end_time": None,
}

Side = Callable[[], Awaitable[None]]


def without_outbox(statement: str) -> str:
    """Returns a statement without the parts that write deliveries."""
    for part in OUTBOX:
        statement = re.sub(rf", outbox AS \(\s*{re.escape(part)}\s*\)", "", statement)
    assert "webhook" not in statement, "the floor would write deliveries"
    return statement


def for_driver(statement: str) -> str:
    """Returns a statement as `admission_statement` gives its own to the driver."""
    return re.sub(r"\s+", " ", re.sub(r"--.*", "", re.sub(r"(?<!:):(\w+)", r"%(\1)s", statement)))


async def submission(connection: psycopg.AsyncConnection[Any], statement: str) -> Side:
    """Returns a function that admits a job."""
    values, text = values_of_a_job(), for_driver(statement)

    async def submit() -> None:
        own = {"id": uuid.uuid4().hex, "request_id": str(uuid.uuid4()), "user": "ann"}
        await connection.execute(text, values | own)

    return submit


async def fragment(connection: psycopg.AsyncConnection[Any], statement: str) -> Side:
    """Returns a function that records a fragment of a job, in a transaction that locks the job first."""
    now, text = datetime.now(UTC), for_driver(statement)
    named = {"id": uuid.uuid4().hex, "request_id": str(uuid.uuid4()), "user": "ann"}
    await connection.execute(for_driver(without_outbox(admission_statement.BOOK)), values_of_a_job() | named)
    times = {"now": now, "start_time": now, "expire_time": now}
    values = RUNNING | FRAGMENT | times | {"id": named["id"], "tenant": TENANT, "user": "ann"}
    sequences = itertools.count(2)

    async def record() -> None:
        async with connection.transaction():
            await connection.execute(FOUND, values)
            await connection.execute(text, values | {"last_sequence": next(sequences)})

    return record


class Timed:
    """One side: its calls over a connection of its own, and what they took."""

    def __init__(self, connection: psycopg.AsyncConnection[Any], call: Side) -> None:
        self._call, self._of_server = call, Path(f"/proc/{connection.info.backend_pid}/schedstat")
        self.processor_us: list[float] = []
        """Of the server, by call, of each block."""
        self.took_us: list[float] = []
        """Of each call."""

    async def block(self) -> None:
        """Makes the calls of one block."""
        before = self._processor_ns()
        for _ in range(BLOCK):
            began = time.perf_counter()
            await self._call()
            self.took_us.append((time.perf_counter() - began) * 1e6)
        self.processor_us.append((self._processor_ns() - before) / BLOCK / 1000)

    def _processor_ns(self) -> int:
        return int(self._of_server.read_text().split()[0])


def quarter(values: Sequence[float]) -> float:
    """Returns the lower quartile: what it takes while the machine does little else."""
    return statistics.quantiles(values, n=4)[0]


async def rows(url: str, whose: str, calls: int) -> bool:
    """Prints a row for each statement. Returns whether the outbox adds little."""
    met, whole = True, {"an event": await recorded(url, calls)}
    for what, side, statement in (
        ("a submission", submission, admission_statement.BOOK),
        ("an event", fragment, event_writer.WRITE.text),
    ):
        async with AsyncExitStack() as stack:
            sides = []
            for text in (statement, without_outbox(statement)):
                connecting = await psycopg.AsyncConnection.connect(plain_url(url), autocommit=True)
                connection = await stack.enter_async_context(connecting)
                sides.append(Timed(connection, await side(connection, text)))
            for _ in range(WARM_UP // BLOCK):
                for each in sides:
                    await each.block()
            for each in sides:
                each.processor_us.clear()
                each.took_us.clear()
            for number in range(calls // BLOCK):
                for each in sides if number % 2 else reversed(sides):
                    await each.block()
        (ours, bare), (took, took_bare) = (
            [quarter(getattr(each, name)) for each in sides] for name in ("processor_us", "took_us")
        )
        of_all = whole.get(what, bare)
        percent = (ours - bare) / of_all * 100
        met = met and percent <= MOST_PERCENT
        print(
            f"{what}, tenant {whose}: {percent:+.1f} % of {of_all:.0f} µs of processor time"
            f" ({ours:.0f} µs of the server, {bare:.0f} µs without the outbox);"
            f" it takes {took:.0f} µs, {took_bare:.0f} µs without"
        )
    return met


async def recorded(url: str, calls: int) -> float:
    """Returns the processor time of recording an event through the store, of the server and of this process, in us."""
    clock, queue = SystemClock(), Queue(MAKE_VIDEO, APPLICATION_NAME, APPLICATION_VERSION)
    store = PostgresStore(url, clock=clock, queue=queue, pool_size=1)
    named = {"id": uuid.uuid4().hex, "request_id": str(uuid.uuid4()), "user": "ann"}
    async with await psycopg.AsyncConnection.connect(plain_url(url), autocommit=True) as connection:
        await connection.execute(for_driver(admission_statement.BOOK), values_of_a_job() | named)
    await store.jobs.record(named["id"], lambda _: Started(1))
    async with store.database.reading() as alone:
        of_server = Path(f"/proc/{(await alone.execute(sa.text('SELECT pg_backend_pid()'))).scalar_one()}/schedstat")

    async def record() -> None:
        await store.jobs.record(named["id"], lambda _: FragmentReady(0, "f" * 64, 8, 100_000, 0.5))

    taken = []
    for number in range((WARM_UP + calls) // BLOCK):
        before = int(of_server.read_text().split()[0]) + time.process_time_ns()
        for _ in range(BLOCK):
            await record()
        after = int(of_server.read_text().split()[0]) + time.process_time_ns()
        if number >= WARM_UP // BLOCK:
            taken.append((after - before) / BLOCK / 1000)
    await store.database.close()
    return quarter(taken)


async def measure(url: str, calls: int) -> bool:
    """Prints all rows. Returns whether tenants without an endpoint pay little."""
    database = Database(url, pool_size=1)
    await PostgresTenants(database).put(TENANT, TENANT, "0" * 64)
    met = await rows(url, "without an endpoint", calls)
    key = EndpointKey(TENANT, str(uuid.uuid4()))
    new = NewEndpoint(key=key, url="https://hooks.example.com/", event_types=tuple(EventType), description="")
    act = Act(datetime.now(UTC), "tenants/bench/keys/bench", "CreateEndpoint", "webhooks/bench", TENANT)
    await PostgresEndpoints(database, PostgresServiceSecrets(database)).create(new, act)
    await rows(url, "with an endpoint of all types", calls)
    async with database.reading() as connection:
        written = (await connection.execute(sa.text("SELECT count(*) FROM webhook_deliveries"))).scalar_one()
    assert written >= 2 * (calls // BLOCK) * BLOCK, "the endpoint has its deliveries"
    await database.close()
    return met


def main() -> None:
    """Measures in a database of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=CALLS)
    calls = parser.parse_args().calls
    with tempfile.TemporaryDirectory(prefix="i2v-outbox-", ignore_cleanup_errors=True) as folder:
        server = EmbeddedPostgres(Path(folder) / "data")
        try:
            migrate(server.url)
            migrate_queue(server.url)
            met = asyncio.run(measure(server.url, calls))
        finally:
            server.close()
    print(f"for tenants without an endpoint at most {MOST_PERCENT:g} %: {'met' if met else 'NOT MET'}")


if __name__ == "__main__":
    main()
