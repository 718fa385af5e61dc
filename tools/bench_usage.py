"""Lists, usage and statements of a tenant with many jobs, audits, and what their indexes cost a submission.

`python -m tools.bench_usage [--jobs 100000]`: a minute or two.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import ExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import psycopg
from i2v.v1 import job_pb2, job_pb2_grpc, usage_pb2, usage_pb2_grpc

from services.orchestrator.clock_and_ids import SystemClock
from services.orchestrator.store.database import plain_url
from services.orchestrator.store.embedded_postgres import EmbeddedPostgres
from services.orchestrator.store.postgres_store import PostgresStore
from services.orchestrator.store.queue_entries import Queue
from services.orchestrator.worker.queue_names import APPLICATION_NAME, APPLICATION_VERSION, MAKE_VIDEO
from tools import bench_submit
from tools.bench_service import PLANS, Row
from tools.stack import Orchestrator
from tools.stack_process import free_port

JOBS = 100_000
REPEATS = 30
ROUNDS, WRITES = 12, 400
PAGE_MS = 20.0
OWNER = "user-0"
"""The user of half of the jobs."""
INDEXES = {
    "jobs_by_state": 'ON jobs (tenant, "user", state, id)',
    "ledger_entries_of_tenant": "ON ledger_entries (tenant, time)",
    "ledger_entries_rare": "ON ledger_entries (tenant, time) WHERE kind NOT IN ('reserve', 'settle')",
}

NUMBERED = """
CROSS JOIN LATERAL (
    SELECT 'f' || lpad(to_hex(number), 31, '0') AS new_id,
        CASE number % 2 WHEN 0 THEN :'owner' ELSE 'user-' || number % 40 END AS new_user,
        number * interval '1 hour' / :'jobs' AS ago
) AS new
"""
# Copies of one job that was cancelled for nothing: so counters and holds stay right.
FILL = (
    """INSERT INTO ledger_entries (reference, kind, tenant, "user", key, model, operation, capability, card_version,
        quote_id, reserved_micros, spent_micros, credit_micros, jobs, video_ms, period_time, time)
    SELECT new_id, kind, tenant, new_user, key, 'model-' || number % 7, operation, capability, card_version, quote_id,
        reserved_micros, spent_micros, credit_micros, jobs, video_ms, period_time - ago, time - ago
    FROM ledger_entries CROSS JOIN generate_series(1, :'jobs') AS number """
    + NUMBERED
    + "WHERE reference = :'id'",
    """INSERT INTO holds (job_id, counters, measures, amounts, settled)
    SELECT new_id, counters, measures, amounts, settled
    FROM holds CROSS JOIN generate_series(1, :'jobs') AS number """
    + NUMBERED
    + "WHERE job_id = :'id'",
    """INSERT INTO jobs (id, tenant, "user", key, request_id, fingerprint, backend, spec, quote_micros, price_micros,
        call, state, stage, progress, attempt, last_sequence, charged_micros, create_time, expire_time, end_time)
    SELECT new_id, tenant, new_user, key, new_id, fingerprint, backend, spec, quote_micros, price_micros,
        call, state, stage, progress, attempt, last_sequence, charged_micros, create_time - ago, expire_time, end_time
    FROM jobs CROSS JOIN generate_series(1, :'jobs') AS number """
    + NUMBERED
    + "WHERE id = :'id'",
)
CHANGED = "INSERT INTO unaudited_settlements (job_id, kind) SELECT id, 'settle' FROM jobs ORDER BY id DESC LIMIT 1000"


class Bench:
    """One API process with its database, and stubs for one user."""

    def __init__(self, channel: grpc.aio.Channel, server: Orchestrator, url: str, admin_url: str) -> None:
        self.server = server
        self.admin_url = admin_url
        key = server.key_file.read_text().strip()
        self.jobs: Any = job_pb2_grpc.JobServiceStub(channel)
        self.usage: Any = usage_pb2_grpc.UsageServiceStub(channel)
        self.who = (("authorization", f"Bearer {key}"), ("i2v-user", OWNER))
        self.url = url

    async def fill(self, jobs: int) -> None:
        """Makes many cancelled jobs."""
        spec = job_pb2.JobSpec(model="nano", text_to_video=job_pb2.TextToVideo(prompt="a wave"), seed=1)
        spec.duration.seconds = 1
        request = job_pb2.SubmitJobRequest(request_id=str(uuid.uuid4()), spec=spec)
        job = await self.jobs.SubmitJob(request, metadata=self.who)
        await self.jobs.CancelJob(job_pb2.CancelJobRequest(name=job.name), metadata=self.who)
        values = {"owner": f"'{OWNER}'", "jobs": str(jobs), "id": f"'{job.name.removeprefix('jobs/')}'"}
        async with await psycopg.AsyncConnection.connect(self.url) as connection:
            for statement in FILL:
                for name, value in values.items():
                    statement = statement.replace(f":'{name}'", value)
                await connection.execute(statement)
        await self.run("VACUUM ANALYZE jobs, holds, ledger_entries, counters")

    async def run(self, statement: str) -> None:
        """Runs a statement on the database."""
        connection = await psycopg.AsyncConnection.connect(self.url, autocommit=True)
        async with connection:
            await connection.execute(statement)

    async def list_jobs(self, state: Any = job_pb2.Job.STATE_UNSPECIFIED) -> None:
        """Takes the first page of the user's jobs."""
        await self.jobs.ListJobs(job_pb2.ListJobsRequest(state=state), metadata=self.who)

    async def ledger(self, kind: Any = usage_pb2.LedgerEntry.KIND_UNSPECIFIED, *, whole_tenant: bool = True) -> None:
        """Takes the first page of the ledger."""
        request = usage_pb2.ListLedgerEntriesRequest(kind=kind, whole_tenant=whole_tenant)
        await self.usage.ListLedgerEntries(request, metadata=self.who)

    async def sums(self) -> None:
        """Takes the sums of a month by model."""
        request = usage_pb2.QueryUsageRequest(group_by=[usage_pb2.QueryUsageRequest.MODEL], whole_tenant=True)
        await self.usage.QueryUsage(request, metadata=self.who)

    async def statement(self) -> tuple[float, float]:
        """Takes the month's statement. Returns the milliseconds to its second part, and to its end."""
        request = usage_pb2.StreamStatementRequest(month=f"{datetime.now(UTC):%Y-%m}", whole_tenant=True)
        began, times = time.perf_counter(), []
        async for _ in self.usage.StreamStatement(request, metadata=self.who):
            times.append((time.perf_counter() - began) * 1000)
        return times[1], times[-1]


async def times_of(work: Callable[[], Awaitable[object]], repeats: int) -> list[float]:
    """Returns the milliseconds of each repeat of some work."""
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        await work()
        times.append((time.perf_counter() - began) * 1000)
    return times


async def milliseconds(work: Callable[[], Awaitable[object]], repeats: int = REPEATS) -> float:
    """Returns the median time of some work."""
    return statistics.median(await times_of(work, repeats))


def page(what: str, ms: float, before: str = "") -> Row:
    """Returns the row of a first page."""
    return Row(what, f"{ms:.1f} ms{before}", f"≤ {PAGE_MS:.0f} ms", ms <= PAGE_MS)


async def pages(bench: Bench) -> AsyncIterator[Row]:
    """Yields the times of first pages."""
    kind = usage_pb2.LedgerEntry.Kind
    usage = await milliseconds(lambda: bench.usage.GetUsage(usage_pb2.GetUsageRequest(), metadata=bench.who))
    yield page("GetUsage", usage)
    yield page("ListJobs, first page", await milliseconds(bench.list_jobs))
    rare = await milliseconds(lambda: bench.list_jobs(job_pb2.Job.FAILED))
    await bench.run("DROP INDEX jobs_by_state")
    before = await milliseconds(lambda: bench.list_jobs(job_pb2.Job.FAILED), 10)
    await bench.run(f"CREATE INDEX jobs_by_state {INDEXES['jobs_by_state']}")
    yield page("ListJobs by a state that no job is in", rare, f"; {before:.1f} ms without its index")
    yield page("ListLedgerEntries of the tenant, first page", await milliseconds(bench.ledger))
    refunds = await milliseconds(lambda: bench.ledger(kind.REFUND))
    yield page("ListLedgerEntries of the tenant by a rare kind, first page", refunds)
    times = [await bench.statement() for _ in range(5)]
    first, whole = (statistics.median(each) for each in zip(*times, strict=True))
    yield page("StreamStatement of the tenant's month, header and first 200 entries", first)
    yield Row("StreamStatement of the tenant's month, whole", f"{whole / 1000:.1f} s", "", True)
    sums = await milliseconds(bench.sums, 5)
    yield Row("QueryUsage by model of the tenant's month", f"{sums:.0f} ms", "", True)


async def audits(bench: Bench) -> AsyncIterator[Row]:
    """Yields the times of audits."""
    store = PostgresStore(
        bench.url, clock=SystemClock(), queue=Queue(MAKE_VIDEO, APPLICATION_NAME, APPLICATION_VERSION)
    )
    await store.start()
    try:
        times = []
        for _ in range(5):
            await bench.run(CHANGED)
            times.append(await milliseconds(lambda: store.counter_audits.changes(every_s=0), 1))
        ms = statistics.median(times)
        yield Row("Audit after 1,000 settlements", f"{ms:.0f} ms", "≤ 100 ms", ms <= 100)
        full = await milliseconds(lambda: store.counter_audits.full(limit=9), 1)
        yield Row("Full audit", f"{full / 1000:.1f} s", "", True)
        assert await store.counter_audits.full(limit=9) == []
    finally:
        await store.stop()


async def index_cost(bench: Bench) -> Row:
    """Returns what the indexes cost a submission: psycopg alone writes the rows of jobs, with and without them in turn.

    The fastest tenth is compared: what else runs on the machine makes it slower, and never faster.
    """
    tenths: dict[bool, list[float]] = {True: [], False: []}
    async with bench_submit.psycopg_alone(bench.url, [bench_submit.TENANT]) as write:
        for turn in range(ROUNDS):
            indexed = turn % 2 == 0
            for name, definition in INDEXES.items():
                await bench.run(f"DROP INDEX IF EXISTS {name}")
                if indexed:
                    await bench.run(f"CREATE INDEX {name} {definition}")
            await times_of(write, 50)
            tenths[indexed].append(sorted(await times_of(write, WRITES))[WRITES // 10])
    with_them, without = statistics.median(tenths[True]), statistics.median(tenths[False])
    ratio = with_them / without
    measured = f"{ratio:.2f} times ({with_them:.2f} ms, {without:.2f} ms)"
    return Row("Rows of a submission by psycopg alone, compared with no such indexes", measured, "≤ 1.1", ratio <= 1.1)


@asynccontextmanager
async def opened(folder: Path, stack: ExitStack) -> AsyncIterator[Bench]:
    """Starts a server with its database, whose tenant has a plan of eight limits."""
    plans = {"I2V_PLANS_FILE": str(PLANS)}
    server = stack.enter_context(
        Orchestrator(folder, "127.0.0.1:9", port=free_port(), metrics_port=free_port(), role="api", more=plans)
    )
    postgres = EmbeddedPostgres(server.key_file.parent / "postgres")
    stack.callback(postgres.close)
    async with grpc.aio.insecure_channel(server.address) as channel:
        yield Bench(channel, server, plain_url(postgres.url), plain_url(postgres.admin_url))


async def main() -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench_usage", description=__doc__)
    parser.add_argument("--jobs", type=int, default=JOBS)
    jobs = parser.parse_args().jobs
    with tempfile.TemporaryDirectory(prefix="i2v-bench-") as folder, ExitStack() as stack:
        async with opened(Path(folder), stack) as bench:
            await bench.fill(jobs)
            print(f"| with {jobs:,} jobs | measured | wanted | |\n|---|---|---|---|", flush=True)
            for rows in (pages(bench), audits(bench)):
                async for row in rows:
                    print(f"| {row.what} | {row.measured} | {row.wanted} | {'✓' if row.met else '✗'} |", flush=True)
            row = await index_cost(bench)
            print(f"| {row.what} | {row.measured} | {row.wanted} | {'✓' if row.met else '✗'} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
