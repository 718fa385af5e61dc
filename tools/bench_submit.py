"""The cost of a submission compared with its floor: the same rows, written by psycopg alone into the same database."""

import asyncio
import itertools
import secrets
import statistics
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import psycopg
from i2v.v1 import job_pb2, job_pb2_grpc

from services.orchestrator.api.authentication import digest
from services.orchestrator.domain.caller import Caller
from services.orchestrator.domain.job import Job
from services.orchestrator.domain.limits.hold import holds_of
from services.orchestrator.domain.spec import Spec, TextToVideo
from services.orchestrator.domain.turns import TenantShare
from services.orchestrator.settings import Settings
from services.orchestrator.store import admission_statement
from services.orchestrator.store.database import Database, plain_url
from services.orchestrator.store.embedded_postgres import EmbeddedPostgres
from services.orchestrator.store.queue_entries import Queue
from services.orchestrator.store.tenants import PostgresTenants
from services.orchestrator.worker.queue_names import APPLICATION_NAME, APPLICATION_VERSION, MAKE_VIDEO
from tools.bench_service import PLANS, Row
from tools.stack import Orchestrator

SECONDS = 4.0
RATE = 100.0
CONCURRENCY = 48
CONNECTIONS = 10
"""Connections of the floor: as many as a process of the service has."""
USERS = 20
ROUNDS = 3
WARM_UP = 300
TENANT = "development"
"""The tenant of one; and the plan of all."""
TENANTS = 50

Submit = Callable[[], Awaitable[None]]
Who = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Round:
    """One round of one side."""

    median_ms: float
    p99_ms: float
    """Both at a steady pace."""
    per_second: float
    """Flat out."""


async def rows(server: Orchestrator, who: Who) -> list[Row]:
    """Returns the rows of submissions by one tenant and by many. Two minutes; the two sides are measured in turn."""
    postgres = EmbeddedPostgres(server.key_file.parent / "postgres")
    try:
        many = await _tenants(postgres.url)
        return [
            row
            for tenants in ([(TENANT, who)], many)
            for row in compared(
                f", {len(tenants)} tenants" if len(tenants) > 1 else "", *await sides(server, postgres.url, tenants)
            )
        ]
    finally:
        postgres.close()


async def sides(server: Orchestrator, url: str, tenants: Sequence[tuple[str, Who]]) -> tuple[list[Round], list[Round]]:
    """Returns the rounds of the service, and of the same rows by psycopg alone."""
    ours, floor = [], []
    async with (
        service(server, [who for _, who in tenants]) as submit,
        psycopg_alone(url, [tenant for tenant, _ in tenants]) as write,
    ):
        for side in (submit, write):
            for _ in range(WARM_UP):
                await side()
        for _ in range(ROUNDS):
            floor.append(await measured(write))
            ours.append(await measured(submit))
    return ours, floor


def compared(whose: str, ours: Sequence[Round], floor: Sequence[Round]) -> list[Row]:
    """Returns the rows of rounds that were measured in turn."""
    pairs = list(zip(ours, floor, strict=True))
    added = statistics.median(our.median_ms - bare.median_ms for our, bare in pairs)
    share = statistics.median(our.per_second / bare.per_second for our, bare in pairs)
    p99 = statistics.median(our.p99_ms for our in ours)
    median, bare_median = (statistics.median(each.median_ms for each in side) for side in (ours, floor))
    rate, bare_rate = (statistics.median(each.per_second for each in side) for side in (ours, floor))
    what = f"SubmitJob with eight limits{whose}"
    return [
        Row(
            f"{what}, at {RATE:.0f}/s: median compared with the same rows by psycopg alone",
            f"{added:+.1f} ms ({median:.1f} ms, {bare_median:.1f} ms)",
            "≤ 2.5 ms, ≤ 4 ms in all",
            added <= 2.5 and median <= 4,
        ),
        Row(f"{what}, at {RATE:.0f}/s: 99th percentile", f"{p99:.1f} ms", "≤ 20 ms", p99 <= 20),
        Row(
            f"{what}, flat out, {CONCURRENCY} at a time, compared with the same rows by psycopg alone",
            f"{share:.2f} ({rate:.0f}/s, {bare_rate:.0f}/s)",
            "≥ 0.55, ≥ 600/s",
            share >= 0.55 and rate >= 600,
        ),
    ]


@asynccontextmanager
async def service(server: Orchestrator, callers: Sequence[Who]) -> AsyncIterator[Submit]:
    """Yields a function that submits one job, for the tenants in turn."""
    spec = job_pb2.JobSpec(model="nano", text_to_video=job_pb2.TextToVideo(prompt="a wave"), seed=1)
    spec.duration.seconds = 1
    async with grpc.aio.insecure_channel(server.address) as channel:
        stub: Any = job_pb2_grpc.JobServiceStub(channel)
        users, whose = counted(), itertools.cycle(callers)

        async def submit() -> None:
            request = job_pb2.SubmitJobRequest(request_id=str(uuid.uuid4()), spec=spec)
            await stub.SubmitJob(request, metadata=(*next(whose), ("i2v-user", users())))

        yield submit


@asynccontextmanager
async def psycopg_alone(url: str, tenants: Sequence[str]) -> AsyncIterator[Submit]:
    """Yields a function that writes only the rows of one job, as the service does, for the tenants in turn."""
    values, users, whose = values_of_a_job(), counted(), itertools.cycle(tenants)
    idle: asyncio.Queue[psycopg.AsyncConnection[Any]] = asyncio.Queue()
    async with AsyncExitStack() as stack:
        for _ in range(CONNECTIONS):
            connecting = await psycopg.AsyncConnection.connect(plain_url(url), autocommit=True)
            idle.put_nowait(await stack.enter_async_context(connecting))

        async def write() -> None:
            user = users()
            holds = values["holds"].replace('"user:"', f'"user:{user}"')
            own = {"id": uuid.uuid4().hex, "request_id": str(uuid.uuid4()), "user": user, "holds": holds}
            connection = await idle.get()
            try:
                await connection.execute(admission_statement.STATEMENT, values | own | {"tenant": next(whose)})
            finally:
                idle.put_nowait(connection)

        yield write


async def _tenants(url: str) -> list[tuple[str, Who]]:
    """Makes tenants, and returns each with the metadata of its calls."""
    database = Database(url, pool_size=1)
    made: list[tuple[str, Who]] = []
    for number in range(TENANTS):
        tenant, key = f"tenant-{number}", secrets.token_urlsafe(32)
        await PostgresTenants(database).put(tenant, TENANT, digest(key))
        made.append((tenant, (("authorization", f"Bearer {key}"),)))
    await database.close()
    return made


def values_of_a_job() -> dict[str, Any]:
    """Returns the values with which the service writes one job."""
    settings = Settings(plans_file=PLANS)
    card = settings.catalog_files().load().card("nano")
    spec = replace(Spec(model="nano", operation=TextToVideo("a wave"), seed=1), duration_ms=1000)
    spec = card.fill(spec, {}, seed=None)
    now = datetime.now(UTC)
    quote = card.quote(spec)
    job = Job(
        id="", tenant=TENANT, user="", request_id="", spec=spec, quote_micros=quote, price_micros=quote,
        create_time=now, expire_time=now + timedelta(hours=1),
    )  # fmt: skip
    plan = settings.plans().load()[TENANT]
    queue = Queue(MAKE_VIDEO, APPLICATION_NAME, APPLICATION_VERSION)
    caller = Caller(TENANT, "", plan, key="floor")
    holds, share = holds_of(job, caller), TenantShare.of(TENANT, plan)
    return admission_statement.values(queue, job, "fingerprint", holds, card.backend, share)


def counted() -> Callable[[], str]:
    """Returns a function that names the users in turn."""
    count = 0

    def following() -> str:
        nonlocal count
        count += 1
        return f"user-{count % USERS}"

    return following


async def measured(one: Submit) -> Round:
    """Runs one round of one side."""
    times = sorted(await paced(one, SECONDS))
    return Round(statistics.median(times), times[int(len(times) * 0.99)], await _flat_out(one))


async def paced(one: Submit, seconds: float) -> list[float]:
    """Starts a call every 1/RATE seconds, whether the ones before have been answered or not. Returns milliseconds."""

    async def timed() -> float:
        began = time.perf_counter()
        await one()
        return (time.perf_counter() - began) * 1000

    began, tasks = time.perf_counter(), []
    for number in range(int(RATE * seconds)):
        await asyncio.sleep(max(0.0, began + number / RATE - time.perf_counter()))
        tasks.append(asyncio.ensure_future(timed()))
    return list(await asyncio.gather(*tasks))


async def _flat_out(one: Submit) -> float:
    """Returns calls a second with so many at a time."""
    end, done = time.perf_counter() + SECONDS, 0

    async def worker() -> None:
        nonlocal done
        while time.perf_counter() < end:
            await one()
            done += 1

    await asyncio.gather(*(worker() for _ in range(CONCURRENCY)))
    return done / SECONDS
