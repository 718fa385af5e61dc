"""`python -m tools.sizing.compare_queue`: the simulation compared with the service's own queue, for the same jobs.

A real orchestrator with PostgreSQL and DBOS gets jobs of three tenants at random moments; its backend only sleeps. The
simulation plays the same submissions and runs. On a busy machine the real waits are longer.
"""

import argparse
import asyncio
import logging
import random
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from prometheus_client import CollectorRegistry

from services.orchestrator.app import open_app
from services.orchestrator.domain.caller import Caller
from services.orchestrator.domain.event import JobError
from services.orchestrator.domain.job import Job as RealJob
from services.orchestrator.domain.plan import Plan
from services.orchestrator.domain.spec import Size, Spec, TextToVideo
from services.orchestrator.ports.backend import AttemptFailed, BackendEvent, GenerationRequest, Stage
from services.orchestrator.role import Role
from services.orchestrator.settings import Settings
from services.orchestrator.store.postgres_store import PostgresStore
from services.reasons import JobReason
from tools.sizing.needs import OVERHEAD_S
from tools.sizing.queue_simulation import Job, Load, around, jobs_of, play, wait_of

BACKEND = "sized"
SLOTS = 8
RUN_S, SPREAD = 1.0, 0.5
TENANTS = {"small": (1, 0.2), "large": (1, 0.6), "heavy": (3, 0.2)}
SHARES = (0.5, 0.9, 0.95)
CARD = f"""
[models.{BACKEND}]
display_name = "Sized"
description = "Sleeps, and makes no video."
backend = "{BACKEND}"
operations = ["text-to-video"]
sizes = ["64x32"]
durations_s = [1]
fps = 8
prompt_max_characters = 100
price_per_second_micros = 0
default_timeout_s = 3600
"""


class SleepingBackend:
    """Sleeps for the run of each job, and keeps when it began. The job then fails: there is no video."""

    def __init__(self, runs_s: Mapping[str, float]) -> None:
        self._runs_s = runs_s
        self.begun_s: dict[str, float] = {}
        self.ended_s: list[float] = []
        self.all_begun = asyncio.Event()

    async def generate(self, attempt: GenerationRequest) -> AsyncGenerator[BackendEvent, None]:
        """Sleeps, then fails."""
        self.begun_s.setdefault(attempt.job_id, time.monotonic())
        if len(self.begun_s) == len(self._runs_s):
            self.all_begun.set()
        yield Stage("generate", 0.0)
        await asyncio.sleep(self._runs_s[attempt.job_id])
        self.ended_s.append(time.monotonic())
        raise AttemptFailed(JobError(JobReason.ENGINE_REFUSED, "Enough.", retryable=False))

    async def check(self) -> None:
        """Does nothing: it is always ready."""


async def real_waits(jobs: Sequence[Job]) -> tuple[list[float], float]:
    """Returns the waits of the jobs in the service, and the mean pause of a slot between two jobs."""
    ids = [f"{number:032x}" for number in range(len(jobs))]
    backend = SleepingBackend({name: job.run_s for name, job in zip(ids, jobs, strict=True)})
    with tempfile.TemporaryDirectory(prefix="i2v-sizing-") as folder:
        models = Path(folder) / "models.toml"
        models.write_text(CARD)
        settings = Settings(
            data=Path(folder),
            triton="",
            listen="127.0.0.1:0",
            metrics_listen="127.0.0.1:0",
            worker_name="sized",
            models_file=models,
        )
        backends = {BACKEND: (backend, SLOTS)}
        async with open_app(settings, Role.ALL, backends=backends, registry=CollectorRegistry()) as app:
            for tenant in TENANTS:
                await app.store.tenants.put(tenant, "standard", tenant)
            submitted_s = await _submit(app.store, ids, jobs)
            await backend.all_begun.wait()
    return [max(0.0, backend.begun_s[name] - submitted_s[name]) for name in ids], _turnover_s(backend, submitted_s)


def _turnover_s(backend: SleepingBackend, submitted_s: Mapping[str, float]) -> float:
    """Returns the mean pause of a slot while jobs wait."""
    begun = sorted((at_s, name) for name, at_s in backend.begun_s.items())[SLOTS:]
    pauses = [
        begun_s - ended_s
        for (begun_s, name), ended_s in zip(begun, sorted(backend.ended_s), strict=False)
        if submitted_s[name] < ended_s
    ]
    return sum(pauses) / len(pauses) if pauses else 0.0


async def _submit(store: PostgresStore, ids: Sequence[str], jobs: Sequence[Job]) -> dict[str, float]:
    """Submits each job at its moment, and returns when it was admitted."""
    began_s, admitted_s = time.monotonic(), dict[str, float]()

    async def submit(name: str, job: Job) -> None:
        await asyncio.sleep(job.submit_s - (time.monotonic() - began_s))
        now = datetime.now(UTC)
        spec = Spec(BACKEND, TextToVideo("a wave"), duration_ms=1000, size=Size(64, 32), seed=1, timeout_ms=3_600_000)
        real = RealJob(
            id=name,
            tenant=job.share.tenant,
            user="sized",
            request_id=name,
            spec=spec,
            quote_micros=0,
            price_micros=0,
            create_time=now,
            expire_time=now + timedelta(hours=1),
        )
        caller = Caller(job.share.tenant, "sized", Plan("sized", weight=job.share.weight))
        admitted_s[name] = time.monotonic()
        await store.admissions.admit(real, "sized", caller, BACKEND)

    await asyncio.gather(*map(submit, ids, jobs))
    return admitted_s


def main() -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(prog="python -m tools.sizing.compare_queue", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="of submissions")
    parser.add_argument("--busy", type=float, default=0.9, help="share of the slots that is used on average")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    logging.getLogger("dbos").addHandler(logging.NullHandler())
    logging.getLogger("dbos").setLevel(logging.ERROR)
    per_s = given.busy * SLOTS / (RUN_S + OVERHEAD_S)
    load = Load(per_s=per_s, run=around(RUN_S, SPREAD), tenants=TENANTS, until_s=given.seconds)
    jobs = jobs_of(load, random.Random(given.seed))
    real_s, pause_s = asyncio.run(real_waits(jobs))
    play(jobs, SLOTS, pause_s)
    print(f"{len(jobs)} jobs of three tenants, {SLOTS} slots, {given.busy:.0%} of them busy with runs and short pauses")
    print(f"From the end of a job to the start of the next one: {pause_s * 1000:.0f} ms, also in the simulation\n")
    print("| wait | simulated | in the service |\n|---|---|---|")
    print(f"| mean | {sum(job.wait_s for job in jobs) / len(jobs):.2f} s | {sum(real_s) / len(real_s):.2f} s |")
    for share in SHARES:
        found = sorted(real_s)[min(len(real_s) - 1, int(share * len(real_s)))]
        print(f"| of {share:.0%} of the jobs, at most | {wait_of(jobs, share):.2f} s | {found:.2f} s |")
    for tenant in TENANTS:
        own = [(job.wait_s, wait_s) for job, wait_s in zip(jobs, real_s, strict=True) if job.share.tenant == tenant]
        simulated, real = (sum(each) / len(own) for each in zip(*own, strict=True))
        print(f"| mean of the tenant `{tenant}`, weight {TENANTS[tenant][0]} | {simulated:.2f} s | {real:.2f} s |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
