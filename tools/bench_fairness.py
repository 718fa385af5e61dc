"""The queue with ten thousand jobs: who begins, when, and what a look at the queue costs. With PostgreSQL and DBOS."""

import asyncio
import statistics
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from prometheus_client import CollectorRegistry

from services.orchestrator.app import open_app
from services.orchestrator.domain.caller import Caller
from services.orchestrator.domain.job import Job
from services.orchestrator.domain.plan import Plan
from services.orchestrator.domain.queue_forecast import forecast
from services.orchestrator.domain.spec import Size, Spec, TextToVideo
from services.orchestrator.role import Role
from services.orchestrator.settings import Settings
from services.orchestrator.store.postgres_store import PostgresStore
from tools.bench_service import Row
from tools.turnstile_backend import Turnstile

MANY = 10_000
SLOTS = 4
STARTS = 400
"""Jobs from which shares are counted."""
AT_ONCE = 16
BACKEND = "bench"
CARD = """
[models.bench]
display_name = "Bench"
description = "Never makes a video."
backend = "bench"
operations = ["text-to-video"]
sizes = ["64x32"]
durations_s = [1]
fps = 8
prompt_max_characters = 100
price_per_second_micros = 0
default_timeout_s = 3600
"""


def measure() -> Iterator[Row]:
    """Yields the rows of the queue. About a minute."""
    yield from asyncio.run(_rows())


async def _rows() -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="i2v-bench-") as folder:
        turnstile, models = Turnstile(), Path(folder) / "models.toml"
        models.write_text(CARD)
        settings = Settings(
            data=Path(folder),
            triton="",
            listen="127.0.0.1:0",
            metrics_listen="127.0.0.1:0",
            worker_name="bench",
            models_file=models,
        )
        backends = {BACKEND: (turnstile, SLOTS)}
        async with open_app(settings, Role.ALL, backends=backends, registry=CollectorRegistry()) as app:
            for tenant in ("many", "one", "heavy"):
                await app.store.tenants.put(tenant, "standard", tenant)
            return await _measured(app.store, turnstile)


async def _measured(store: PostgresStore, turnstile: Turnstile) -> list[Row]:
    await _admit(store, "many", 0, MANY)
    await turnstile.until(SLOTS)
    await turnstile.let_through(10)
    looks = [await _look(store) for _ in range(5)]
    [one] = await _admit(store, "one", MANY, 1)
    ends = 0
    while one not in turnstile.begun and ends < MANY:
        await turnstile.let_through(1)
        ends += 1
    heavy = set(await _admit(store, "heavy", MANY + 1, STARTS, weight=3))
    begun = len(turnstile.begun)
    begin_s = time.perf_counter()
    await turnstile.let_through(STARTS)
    pause_s = (time.perf_counter() - begin_s) / STARTS
    share = len(heavy & set(turnstile.begun[begun:])) / STARTS
    return [
        Row(
            f"Jobs of others that end before the first job of a tenant begins, behind {MANY:,} of one, {SLOTS} slots",
            f"{ends}",
            f"≤ {SLOTS}",
            ends <= SLOTS,
        ),
        Row(
            f"Share of the starts of a tenant with weight 3 beside {MANY:,} jobs of one with weight 1",
            f"{share:.1%}",
            "75 % ± 10 %",
            abs(share / 0.75 - 1) <= 0.1,
        ),
        Row(
            f"From the end of a job to the start of the next one, {MANY:,} waiting",
            f"{pause_s * 1000:.1f} ms",
            "≤ 50 ms",
            pause_s <= 0.05,
        ),
        Row(
            f"Forecast of {MANY:,} waiting jobs, read and computed for all who ask",
            f"{statistics.median(looks) * 1000:.0f} ms",
            "≤ 200 ms",
            statistics.median(looks) <= 0.2,
        ),
    ]


async def _look(store: PostgresStore) -> float:
    begin_s = time.perf_counter()
    found = forecast(await store.queues.snapshot(BACKEND))
    assert found.length >= MANY - 100, found.length
    return time.perf_counter() - begin_s


async def _admit(store: PostgresStore, tenant: str, first: int, count: int, weight: int = 1) -> list[str]:
    """Admits jobs of a tenant, with an unlimited plan, and returns their ids."""
    now = datetime.now(UTC)
    spec = Spec("bench", TextToVideo("a wave"), duration_ms=1000, size=Size(64, 32), seed=1, timeout_ms=86_400_000)
    caller = Caller(tenant, "bench", Plan("bench", weight=weight))
    jobs = [
        Job(
            id=f"{number:032x}",
            tenant=tenant,
            user="bench",
            request_id=f"{number}",
            spec=spec,
            quote_micros=0,
            price_micros=0,
            create_time=now,
            expire_time=now + timedelta(days=1),
        )
        for number in range(first, first + count)
    ]
    slots = asyncio.Semaphore(AT_ONCE)

    async def admit(job: Job) -> None:
        async with slots:
            await store.admissions.admit(job, "bench", caller, BACKEND)

    await asyncio.gather(*map(admit, jobs))
    return [job.id for job in jobs]


if __name__ == "__main__":
    for row in measure():
        print(f"{row.what}: {row.measured}, wanted {row.wanted}")
