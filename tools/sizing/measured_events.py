"""Costs of events and of those who watch them: jobs of the fake backend, of one fragment and of many."""

import asyncio
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import grpc
import psycopg
from i2v.v1 import job_pb2, job_pb2_grpc

from services.orchestrator.store.embedded_postgres import EmbeddedPostgres
from tools.bench_service import PLANS
from tools.sizing.usage_meter import Usage, UsageMeter
from tools.stack import Orchestrator
from tools.stack_process import free_port

SHORT_S, LONG_S = 1, 16
"""Videos of one fragment and of sixteen."""
JOBS = 60
WATCHERS = 200
"""Of one job, in addition to the one that waits for it."""
SLOTS = 8
CARD = """
[models.sized]
display_name = "Sized"
description = "For the measurement."
backend = "fake"
operations = ["text-to-video"]
sizes = ["64x32"]
durations_s = [1, 16]
fps = 16
prompt_max_characters = 100
price_per_second_micros = 1
default_timeout_s = 300
"""
Costs = dict[str, float]


@contextmanager
def installation(folder: Path) -> Iterator[tuple[Orchestrator, UsageMeter]]:
    """Gives an API, and a meter of it, of a worker with the fake backend, and of their PostgreSQL."""
    with ExitStack() as stack:
        postgres = EmbeddedPostgres(folder / "postgres")
        stack.callback(postgres.close)
        cards = folder / "models.toml"
        cards.write_text(CARD)
        settings = {"I2V_DATABASE_URL": postgres.url, "I2V_PLANS_FILE": str(PLANS), "I2V_FAKE_SLOTS": str(SLOTS)}
        settings |= {"I2V_BLOBS_FOLDER": str(folder / "blobs"), "I2V_PIXEL_MARK": "false"}
        api, worker = (
            stack.enter_context(
                Orchestrator(
                    folder / role,
                    "127.0.0.1:9",
                    port=free_port(),
                    metrics_port=free_port(),
                    role=role,
                    cards=cards,
                    more=settings,
                )
            )
            for role in ("api", "worker")
        )
        connection = stack.enter_context(psycopg.connect(postgres.admin_url, autocommit=True))
        yield api, UsageMeter([api.pid, worker.pid], connection)


def measure() -> Costs:
    """Returns the costs, by names of costs.toml; about a minute."""
    with tempfile.TemporaryDirectory(prefix="i2v-sizing-") as name, installation(Path(name)) as (api, meter):
        return asyncio.run(_costs(api, meter))


async def _costs(api: Orchestrator, meter: UsageMeter) -> Costs:
    await _jobs(api, meter, LONG_S, JOBS // 4, 0)
    (short, short_events), (long, long_events) = [
        await _jobs(api, meter, duration_s, JOBS, 0) for duration_s in (SHORT_S, LONG_S)
    ]
    watched, _ = await _jobs(api, meter, LONG_S, 1, WATCHERS)
    alone, messages = await _jobs(api, meter, LONG_S, 1, 0)
    events = long_events - short_events
    job_events = short_events / JOBS
    found: Costs = {"job_events": job_events}
    for name, of_long, of_short in (
        ("worker_s", long.program_s[1], short.program_s[1]),
        ("postgres_s", long.postgres_s, short.postgres_s),
        ("wal_bytes", long.wal_bytes, short.wal_bytes),
        ("table_bytes", long.table_bytes, short.table_bytes),
    ):
        found[f"fragment_{name}"] = (of_long - of_short) / events
        found[f"job_{name}"] = of_short / JOBS
    found["message_api_s"] = (watched.program_s[0] - alone.program_s[0]) / (WATCHERS * messages)
    return found


async def _jobs(api: Orchestrator, meter: UsageMeter, duration_s: int, count: int, watchers: int) -> tuple[Usage, int]:
    """Makes videos, with more watchers of the first one. Returns what that used, and the number of events."""
    who = (("authorization", f"Bearer {(api.key_file).read_text().strip()}"), ("i2v-user", "sizing"))
    async with grpc.aio.insecure_channel(api.address) as channel:
        stub: Any = job_pb2_grpc.JobServiceStub(channel)

        async def watch(name: str) -> int:
            return len([event async for event in stub.WatchJob(job_pb2.WatchJobRequest(name=name), metadata=who)])

        before = meter.read()
        jobs = [await stub.SubmitJob(_request(duration_s), metadata=who) for _ in range(count)]
        more = [watch(jobs[0].name) for _ in range(watchers)]
        events = await asyncio.gather(*(watch(job.name) for job in jobs), *more)
        await asyncio.sleep(1.0)  # the worker makes the posters
        return meter.read() - before, sum(events[:count])


def _request(duration_s: int) -> job_pb2.SubmitJobRequest:
    spec = job_pb2.JobSpec(model="sized", text_to_video=job_pb2.TextToVideo(prompt="a wave"), seed=1)
    spec.duration.seconds = duration_s
    return job_pb2.SubmitJobRequest(request_id=str(uuid.uuid4()), spec=spec)
