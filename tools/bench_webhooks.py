"""How fast events reach the living of 1,000 receivers, a tenth of which are dead; and one that was away for an hour.

`python -m tools.bench_webhooks [--rounds 6]`: a process of the role `webhooks`, and a PostgreSQL of its own. Each round
is one event for every endpoint, all at once. The floor are bare clients of httpx that post the same to the living
alone, with as many requests at a time. The hour is simulated.
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import httpx
import psycopg
import sqlalchemy as sa
import uvloop

from services.open_file_limit import raise_open_file_limit
from services.orchestrator.clock_and_ids import SystemClock
from services.orchestrator.domain.audit import Act
from services.orchestrator.domain.webhook import EndpointKey, EventType, NewEndpoint
from services.orchestrator.store.database import migrate
from services.orchestrator.store.embedded_postgres import EmbeddedPostgres
from services.orchestrator.store.postgres_store import PostgresStore
from services.orchestrator.store.queue_entries import Queue
from services.orchestrator.store.webhook_outbox import OF_EVENT
from tools import webhook_hour
from tools.bench_service import Row
from tools.process_supervisor import die_with_parent
from tools.sizing.usage_meter import UsageMeter
from tools.stack_process import HOST, free_port
from tools.webhook_receivers import CERTIFICATE, RECEIVERS, address, is_dead

OF_A_TENANT = 20
TENANTS = [f"tenant-{number}" for number in range(RECEIVERS // OF_A_TENANT)]
ROUNDS, PAUSE_S = 6, 5.0
ARRIVED_S = 60.0
WANTED_S = 5.0
AT_A_TIME = 500
LIVING = [number for number in range(RECEIVERS) if not is_dead(number)]
Arrival = tuple[int, str, float]


class Receivers:
    """The process of the receivers."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.port = free_port()
        command = [sys.executable, "-m", "tools.webhook_receivers", str(folder), str(self.port)]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=die_with_parent
        )
        self._process = stack.enter_context(process)
        stack.callback(self._process.kill)
        assert self._line() == "ready\n"

    def since(self) -> list[Arrival]:
        """Returns what came since the last call."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return [(number, name, late_s) for number, name, late_s in json.loads(self._line())]

    def url(self, number: int) -> str:
        """Returns the URL of a receiver."""
        return f"https://{address(number)}:{self.port}/hooks"

    def _line(self) -> str:
        assert self._process.stdout is not None
        return str(self._process.stdout.readline())


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[PostgresStore]:
    """Yields a store."""
    store = PostgresStore(url, clock=SystemClock(), queue=Queue("make_video", "i2v-bench", "1"))
    await store.start()
    try:
        yield store
    finally:
        await store.stop()


async def make_endpoints(store: PostgresStore, receivers: Receivers) -> None:
    """Makes the tenants, and an endpoint for each receiver."""
    for number in range(RECEIVERS):
        tenant = TENANTS[number // OF_A_TENANT]
        if number % OF_A_TENANT == 0:
            await store.tenants.put(tenant, "bench", f"{number:064x}")
        key = EndpointKey(tenant, str(uuid4()))
        new = NewEndpoint(key=key, url=receivers.url(number), event_types=(EventType.JOB_STARTED,), description="")
        act = Act(datetime.now(UTC), "bench", "CreateEndpoint", f"webhooks/{key.id}", tenant)
        await store.webhook_endpoints.create(new, act)


async def happen(store: PostgresStore, sequence: int) -> None:
    """Writes one event of a job of each tenant into the outbox, by the statement of the service."""
    for tenant in TENANTS:
        given = {"tenant": tenant, "user": "ann", "event_type": EventType.JOB_STARTED.value, "id": f"{sequence:032x}"}
        now = {"last_sequence": sequence, "body": '{"attempt": 1}', "now": datetime.now(UTC)}
        async with store.database.reading() as connection:
            await connection.execute(sa.text(OF_EVENT), given | now)


async def floor(receivers: Receivers, rounds: int, folder: Path) -> list[float]:
    """Returns how late each post of bare clients arrived, in seconds: one for each host, as one pool is slow."""
    context, turns = httpx.create_ssl_context(str(folder / CERTIFICATE)), asyncio.Semaphore(AT_A_TIME)
    clients = {number: httpx.AsyncClient(verify=context, timeout=ARRIVED_S, trust_env=False) for number in LIVING}

    async def post(number: int, now: str) -> None:
        body = json.dumps({"type": "job.started", "timestamp": now, "data": {}})
        async with turns:
            await clients[number].post(receivers.url(number), content=body, headers={"webhook-id": str(uuid4())})

    for warm in range(rounds + 1):
        began, now = time.monotonic(), datetime.now(UTC).isoformat()
        await asyncio.gather(*(post(number, now) for number in LIVING))
        if not warm:
            receivers.since()
        await asyncio.sleep(max(0.0, PAUSE_S / 2 - (time.monotonic() - began)))
    for client in clients.values():
        await client.aclose()
    return [late_s for _, _, late_s in receivers.since()]


def sender(url: str, folder: Path, stack: ExitStack) -> int:
    """Starts a process of the role `webhooks`. Returns its number."""
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        "SSL_CERT_FILE": str(folder / CERTIFICATE),
        "I2V_DATABASE_URL": url,
        "I2V_METRICS_LISTEN": f"{HOST}:0",
        "I2V_LOG_LEVEL": "ERROR",
        "I2V_WEBHOOK_PRIVATE_HOSTS": ",".join(address(number) for number in range(RECEIVERS)),
        "I2V_WEBHOOK_SENDS": str(AT_A_TIME),
    }
    command = [sys.executable, "-m", "services.orchestrator", "webhooks"]
    process = stack.enter_context(subprocess.Popen(command, env=environment, preexec_fn=die_with_parent))
    stack.callback(process.terminate)
    return process.pid


async def many(rounds: int) -> AsyncIterator[Row]:
    """Yields the rows of many receivers."""
    with tempfile.TemporaryDirectory(prefix="i2v-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        receivers = Receivers(folder, stack)
        late = await floor(receivers, rounds, folder)
        yield Row(
            f"Posts of bare clients of httpx to the {len(LIVING)} living receivers", _times(late), "the floor", True
        )
        server = EmbeddedPostgres(folder / "postgres")
        stack.callback(server.close)
        await asyncio.to_thread(migrate, server.url)
        async with AsyncExitStack() as opening:
            store = await opening.enter_async_context(opened(server.url))
            await make_endpoints(store, receivers)
            programs = [sender(server.url, folder, stack)]
            meter = UsageMeter(programs, stack.enter_context(psycopg.connect(server.admin_url, autocommit=True)))
            arrivals: list[Arrival] = []
            await happen(store, 0)  # when it has arrived, the process runs
            while len(_of_living(arrivals)) < len(LIVING):
                await asyncio.sleep(0.1)
                arrivals += receivers.since()
            before = meter.read()
            for sequence in range(1, rounds + 1):
                began = time.monotonic()
                await happen(store, sequence)
                await asyncio.sleep(max(0.0, PAUSE_S - (time.monotonic() - began)))
            arrivals, until = [], time.monotonic() + ARRIVED_S
            wanted = len(LIVING) * rounds
            while len(late := _of_living(arrivals)) < wanted and time.monotonic() < until:
                await asyncio.sleep(0.1)
                arrivals += receivers.since()
            used = meter.read() - before
    what = f"Webhooks to {RECEIVERS} endpoints, a tenth dead: from the event to the {len(LIVING)} living"
    arrived = f"{len(late)} of {wanted}; "
    yield Row(what, arrived + _times(late), f"all ≤ {WANTED_S:g} s", len(late) == wanted and max(late) <= WANTED_S)
    each = f"{1e3 * used.program_s[0] / wanted:.2f} ms of the process"
    each += f", {1e3 * used.postgres_s / wanted:.2f} ms of PostgreSQL"
    each += f", {used.wal_bytes / wanted:.0f} bytes of WAL, {used.table_bytes / wanted:.0f} bytes of tables"
    yield Row("What a delivery to the living costs, with its event and the tries of the dead", each, "-", True)


def _of_living(arrivals: list[Arrival]) -> list[float]:
    seen = {(number, name): late_s for number, name, late_s in reversed(arrivals) if not is_dead(number)}
    return list(seen.values())


def _times(late: list[float]) -> str:
    cuts = statistics.quantiles(late, n=100)
    return f"p50 {cuts[49]:.2f} s, p99 {cuts[98]:.2f} s, max {max(late):.2f} s"


async def measure(rounds: int) -> AsyncIterator[Row]:
    """Yields all rows."""
    async for row in many(rounds):
        yield row
    async for row in webhook_hour.measure():
        yield row


def show(row: Row) -> Iterator[str]:
    """Yields the lines of a row."""
    yield f"{'✓' if row.met else '✗'} {row.what}"
    yield f"    {row.measured} (wanted: {row.wanted})"


async def main() -> int:
    """Prints the rows. Returns the exit code: 1 if one misses what is wanted."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench_webhooks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    rounds = parser.parse_args().rounds
    raise_open_file_limit()
    met = True
    async for row in measure(rounds):
        met &= row.met
        print(*show(row), sep="\n", flush=True)
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(uvloop.run(main()))
