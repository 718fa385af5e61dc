"""The cost of a submission compared with its floor: the same rows, written by psycopg alone into the same database."""

import asyncio
import statistics
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import psycopg
from i2v.v1 import job_pb2, job_pb2_grpc

from services.orchestrator.domain.caller import Caller
from services.orchestrator.domain.job import Job
from services.orchestrator.domain.limits.hold import holds_of
from services.orchestrator.domain.spec import Spec, TextToVideo
from services.orchestrator.domain.turns import TenantShare
from services.orchestrator.settings import Settings
from services.orchestrator.store import admission_statement
from services.orchestrator.store.database import plain_url
from services.orchestrator.store.embedded_postgres import EmbeddedPostgres
from services.orchestrator.store.queue_entries import Queue
from services.orchestrator.worker.dbos_queue import APPLICATION_NAME, APPLICATION_VERSION, MAKE_VIDEO
from tools.bench_service import Row
from tools.stack import Orchestrator

SECONDS = 4.0
RATE = 100.0
CONCURRENCY = 48
CONNECTIONS = 10
"""Connections of the floor: as many as a process of the service has."""
USERS = 20
ROUNDS = 3
WARM_UP = 300

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
    """Returns the rows of submissions. About a minute; the two sides are measured in turn."""
    ours, floor = [], []
    async with service(server, who) as submit, psycopg_alone(server.key_file.parent / "postgres") as write:
        for side in (submit, write):
            for _ in range(WARM_UP):
                await side()
        for _ in range(ROUNDS):
            floor.append(await measured(write))
            ours.append(await measured(submit))
    return compared(ours, floor)


def compared(ours: Sequence[Round], floor: Sequence[Round]) -> list[Row]:
    """Returns the rows of rounds that were measured in turn."""
    pairs = list(zip(ours, floor, strict=True))
    added = statistics.median(our.median_ms - bare.median_ms for our, bare in pairs)
    share = statistics.median(our.per_second / bare.per_second for our, bare in pairs)
    p99 = statistics.median(our.p99_ms for our in ours)
    median, bare_median = (statistics.median(each.median_ms for each in side) for side in (ours, floor))
    rate, bare_rate = (statistics.median(each.per_second for each in side) for side in (ours, floor))
    return [
        Row(
            f"SubmitJob at {RATE:.0f}/s: median compared with the same rows by psycopg alone",
            f"{added:+.1f} ms ({median:.1f} ms, {bare_median:.1f} ms)",
            "≤ 2.5 ms",
            added <= 2.5,
        ),
        Row(f"SubmitJob at {RATE:.0f}/s, 99th percentile", f"{p99:.1f} ms", "≤ 20 ms", p99 <= 20),
        Row(
            f"SubmitJob flat out, {CONCURRENCY} at a time, compared with the same rows by psycopg alone",
            f"{share:.2f} ({rate:.0f}/s, {bare_rate:.0f}/s)",
            "≥ 0.55",
            share >= 0.55,
        ),
    ]


@asynccontextmanager
async def service(server: Orchestrator, who: Who) -> AsyncIterator[Submit]:
    """Yields a function that submits one job."""
    spec = job_pb2.JobSpec(model="nano", text_to_video=job_pb2.TextToVideo(prompt="a wave"), seed=1)
    spec.duration.seconds = 1
    async with grpc.aio.insecure_channel(server.address) as channel:
        stub: Any = job_pb2_grpc.JobServiceStub(channel)
        users = counted()

        async def submit() -> None:
            request = job_pb2.SubmitJobRequest(request_id=str(uuid.uuid4()), spec=spec)
            await stub.SubmitJob(request, metadata=(*who, ("i2v-user", users())))

        yield submit


@asynccontextmanager
async def psycopg_alone(folder: Path) -> AsyncIterator[Submit]:
    """Yields a function that writes only the rows of one job, as the service does."""
    postgres = EmbeddedPostgres(folder)
    values, users = _values(), counted()
    idle: asyncio.Queue[psycopg.AsyncConnection[Any]] = asyncio.Queue()
    async with AsyncExitStack() as stack:
        stack.callback(postgres.close)
        for _ in range(CONNECTIONS):
            connecting = await psycopg.AsyncConnection.connect(plain_url(postgres.url))
            idle.put_nowait(await stack.enter_async_context(connecting))

        async def write() -> None:
            user = users()
            subjects = [f"user:{user}" if each.startswith("user:") else each for each in values["subjects"]]
            own = {"id": uuid.uuid4().hex, "request_id": str(uuid.uuid4()), "user": user, "subjects": subjects}
            connection = await idle.get()
            try:
                await (await connection.execute(admission_statement.STATEMENT, values | own)).fetchall()
                await connection.commit()
            finally:
                idle.put_nowait(connection)

        yield write


def _values() -> dict[str, Any]:
    """Returns the values with which the service writes one job."""
    settings = Settings()
    card = settings.catalog_files().load().card("nano")
    spec = replace(Spec(model="nano", operation=TextToVideo("a wave"), seed=1), duration_ms=1000)
    spec = card.fill(spec, {}, seed=None)
    now = datetime.now(UTC)
    quote = card.quote(spec)
    job = Job(
        id="", tenant="development", user="", request_id="", spec=spec, quote_micros=quote, price_micros=quote,
        create_time=now, expire_time=now + timedelta(hours=1),
    )  # fmt: skip
    caller = Caller("development", "", settings.plans().load()["development"], key="floor")
    queue = Queue(MAKE_VIDEO, APPLICATION_NAME, APPLICATION_VERSION)
    share = TenantShare.of(caller.tenant, caller.plan)
    return asdict(queue) | admission_statement.values(job, "fingerprint", holds_of(job, caller), card.backend, share)


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
