"""Several workers as processes of their own are fair together."""

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from i2v.v1 import job_pb2

from services.orchestrator.domain.caller import Caller
from services.orchestrator.role import Role
from tests.support.builders import a_plan, numbered
from tests.support.served_orchestrator import Served, served
from tests.support.worker_processes import api_alone, said, worker

FIRST, STARTS = 20, 60
"""The first jobs of a process take longer, and shares are of time: they are not counted."""
BEGUN = sa.text("SELECT tenant FROM jobs WHERE start_time IS NOT NULL ORDER BY start_time OFFSET :first LIMIT :most")
ENDED_BEFORE = sa.text("""
SELECT count(*) FROM jobs, jobs AS late WHERE late.id = :id
    AND jobs.end_time BETWEEN late.create_time AND late.start_time
""")

RUNNING = sa.text(
    "SELECT executor_id, count(*) AS running FROM dbos.workflow_status WHERE status = 'PENDING' GROUP BY executor_id"
)


async def admitted(
    i2v: Served, first: int, count: int, tenant: str, weight: int = 1, also: Served | None = None
) -> list[str]:
    """Admits jobs at an API, or in turn at two."""
    now = datetime.now(UTC)
    caller = Caller(tenant, "ann", replace(a_plan(), weight=weight))
    jobs = [
        numbered(number, tenant=tenant, create_time=now, expire_time=now + timedelta(hours=1))
        for number in range(first, first + count)
    ]
    for number, job in enumerate(jobs):
        api = i2v if also is None or number % 2 else also
        await api.app.store.admissions.admit(job, "fingerprint", caller, "fake")
    return [f"jobs/{job.id}" for job in jobs]


async def test_two_workers_of_two_apis_share_their_slots_by_weight_and_begin_a_first_job_soon(
    database: str, tmp_path: Path
) -> None:
    async with api_alone(database, tmp_path) as i2v, served(database, tmp_path / "2", {}, role=Role.API) as other:
        heavy = await admitted(i2v, 0, 100, "studio", weight=3, also=other)
        await admitted(i2v, 100, 100, "story", also=other)
        slots = {"I2V_FAKE_SLOTS": "2", "I2V_FAKE_PAUSE_S": "0.1"}
        with worker(database, tmp_path, "worker-0", **slots), worker(database, tmp_path, "worker-1", **slots):
            await i2v.until(heavy[STARTS // 2], "started")
            [late] = await admitted(i2v, 300, 1, "poor")
            assert (await i2v.ended(late, tenant="poor")).state == job_pb2.Job.SUCCEEDED
            await i2v.until(heavy[FIRST + STARTS], "started")
        async with i2v.app.store.database.reading() as connection:
            counted = Counter((await connection.execute(BEGUN, {"first": FIRST, "most": STARTS})).scalars())
            ends = (await connection.execute(ENDED_BEFORE, {"id": late.removeprefix("jobs/")})).scalar_one()
    assert counted["studio"] / (counted["studio"] + counted["story"]) == pytest.approx(0.75, rel=0.1)
    assert ends <= 4


async def test_each_worker_keeps_its_own_slots_when_another_starts_with_more(database: str, tmp_path: Path) -> None:
    most: Counter[str] = Counter()
    pause = {"I2V_FAKE_PAUSE_S": "0.2"}
    async with api_alone(database, tmp_path) as i2v:
        with (
            worker(database, tmp_path, "worker-0", I2V_FAKE_SLOTS="1", **pause) as first,
            worker(database, tmp_path, "worker-1", I2V_FAKE_SLOTS="3", **pause) as second,
        ):
            for process, name in ((first, "worker-0"), (second, "worker-1")):
                await said(process, tmp_path / f"{name}.log", '"message":"ready"')
            jobs = await admitted(i2v, 0, 24, "studio")
            ending = asyncio.gather(*(i2v.ended(job) for job in jobs))
            while not ending.done():
                async with i2v.app.store.database.reading() as connection:
                    rows = (await connection.execute(RUNNING)).all()
                most |= Counter({row.executor_id.partition(".")[0]: row.running for row in rows})
                await asyncio.sleep(0.05)
            assert {job.state for job in await ending} == {job_pb2.Job.SUCCEEDED}
    assert most == {"worker-0": 1, "worker-1": 3}
