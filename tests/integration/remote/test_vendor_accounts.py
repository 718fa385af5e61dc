"""What a vendor's account allows is what its queue lets through; who waits sees the place."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from i2v.v1 import job_pb2

from services.orchestrator.ports.backend import Limits
from services.orchestrator.role import Role
from tests.support.paid_work import remote, remotely
from tests.support.scripted_provider import Failed, ScriptedProvider, a_failure, a_video, providing
from tests.support.served_orchestrator import GOLDEN, Served, caller, served, text_spec
from tests.support.worker_processes import worker

VIDEO = a_video()


async def place(i2v: Served, name: str, wanted: int) -> None:
    """Waits until a watcher gets this place."""
    request = job_pb2.WatchJobRequest(name=name)
    async for answer in i2v.jobs.WatchJob(request, metadata=caller()):
        if answer.HasField("heartbeat") and answer.heartbeat.queue_place == wanted:
            return
    raise AssertionError(f"{name} never had the place {wanted}")


@pytest.mark.parametrize("limits", [Limits(3, 3), Limits(10, 10, 3)])
async def test_the_fourth_job_waits_and_its_watcher_sees_its_place(
    database: str, tmp_path: Path, limits: Limits
) -> None:
    vendor = ScriptedProvider(a_video())
    vendor.working.clear()
    async with remotely(database, tmp_path, vendor, limits=limits) as i2v:
        spec = text_spec(seconds=5, model="remote-text")
        jobs = []
        for _ in range(3):
            jobs.append(await i2v.submit(spec))
            await i2v.until(jobs[-1].name, "accepted")
        jobs += [await i2v.submit(spec) for _ in range(2)]
        async with asyncio.timeout(60):
            await asyncio.gather(place(i2v, jobs[3].name, 1), place(i2v, jobs[4].name, 2))
        assert (await i2v.job(jobs[4].name)).queue_place == 2
        assert len(vendor.submitted) == 3
        vendor.working.set()
        await i2v.ended(jobs[0].name)
        if limits.per_minute is None:
            ended = [await i2v.ended(job.name) for job in jobs[3:]]
            assert {job.state for job in ended} == {job_pb2.Job.SUCCEEDED}
        else:
            await i2v.cancel(jobs[3].name)
            await i2v.cancel(jobs[4].name)
            assert len(vendor.submitted) == 3


SPEC = text_spec(seconds=5, model="remote-text")


@asynccontextmanager
async def account(database: str, data: Path, vendor: ScriptedProvider, limits: Limits) -> AsyncIterator[Served]:
    async with remotely(database, data, vendor, limits=limits) as i2v, asyncio.timeout(60):
        yield i2v


def busy(seconds: float) -> Any:
    """A refusal: come again after so long."""
    failure = a_failure("RATE_LIMITED", Failed.NOT_CHARGED, retryable=True)
    failure.retry_delay.FromMilliseconds(round(1000 * seconds))
    return failure


async def test_a_job_that_waits_for_its_next_attempt_holds_no_slot(database: str, tmp_path: Path) -> None:
    vendor = ScriptedProvider(VIDEO)
    vendor.refusals = [busy(600)]
    async with account(database, tmp_path, vendor, Limits(1, 1)) as i2v:
        patient = text_spec(seconds=5, model="remote-text")
        patient.timeout.seconds = 1000
        waits = await i2v.submit(patient)
        await i2v.until(waits.name, "retrying")
        assert (await i2v.ended((await i2v.submit(SPEC)).name)).state == job_pb2.Job.SUCCEEDED
        assert (await i2v.job(waits.name)).state == job_pb2.Job.QUEUED
        assert (await i2v.cancel(waits.name)).state == job_pb2.Job.CANCELLED


async def test_the_next_attempt_begins_by_itself_and_not_before_its_time(database: str, tmp_path: Path) -> None:
    vendor = ScriptedProvider(VIDEO)
    vendor.refusals = [busy(3), busy(0)]
    async with account(database, tmp_path, vendor, Limits(1, 1)) as i2v:
        ended = await i2v.ended((await i2v.submit(SPEC)).name)
        assert (ended.state, ended.attempt, ended.charged.amount_micros) == (job_pb2.Job.SUCCEEDED, 3, 5000)
        events = [event async for event in i2v.watch(ended.name)]
        first = next(event.retrying for event in events if event.HasField("retrying"))
        second = next(event for event in events if event.HasField("started") and event.started.attempt == 2)
        assert second.create_time.ToDatetime() >= first.retry_time.ToDatetime()
        assert sum(event.HasField("started") for event in events) == len(vendor.submitted) == 3


async def test_each_submission_counts_in_the_minute_the_later_ones_of_a_job_too(database: str, tmp_path: Path) -> None:
    vendor = ScriptedProvider(VIDEO)
    vendor.refusals = [busy(0)]
    async with account(database, tmp_path, vendor, Limits(10, 10, 2)) as i2v:
        ended = await i2v.ended((await i2v.submit(SPEC)).name)
        assert (ended.state, ended.attempt) == (job_pb2.Job.SUCCEEDED, 2)
        third = await i2v.submit(SPEC)
        await place(i2v, third.name, 1)
        await asyncio.sleep(2)
        assert len(vendor.submitted) == 2
        await i2v.cancel(third.name)


async def test_who_is_put_back_waits_behind_those_who_waited_before(database: str, tmp_path: Path) -> None:
    vendor = ScriptedProvider(VIDEO)
    vendor.refusals = [busy(30)]
    vendor.accepting.clear()
    async with account(database, tmp_path, vendor, Limits(9, 9, 1)) as i2v:
        first = await i2v.submit(SPEC)
        await vendor.asked.wait()
        others = [await i2v.submit(SPEC) for _ in range(2)]
        vendor.accepting.set()
        await asyncio.gather(*(place(i2v, job.name, n) for n, job in enumerate((*others, first), 1)))
        for job in (first, *others):
            await i2v.cancel(job.name)


async def test_a_stop_while_a_job_waits_for_its_next_attempt_submits_nothing(database: str, tmp_path: Path) -> None:
    vendor = ScriptedProvider(VIDEO)
    vendor.refusals = [busy(2)]
    async with account(database, tmp_path, vendor, Limits(1, 1)) as i2v:
        job = await i2v.submit(SPEC)
        await i2v.until(job.name, "retrying")
        assert (await i2v.cancel(job.name)).state == job_pb2.Job.CANCELLED
        await entries_are_done(i2v, 2)
        assert (len(vendor.submitted), (await i2v.job(job.name)).charged.amount_micros) == (1, 0)


async def test_a_deadline_that_passes_while_a_job_waits_for_a_slot_ends_it(database: str, tmp_path: Path) -> None:
    vendor = ScriptedProvider(VIDEO)
    vendor.refusals = [busy(1)]
    vendor.accepting.clear()
    async with account(database, tmp_path, vendor, Limits(1, 1)) as i2v:
        late = text_spec(seconds=5, model="remote-text")
        late.timeout.seconds = 4
        job = await i2v.submit(late)
        await vendor.asked.wait()
        other = await i2v.submit(SPEC)  # waits for the slot before the first one waits for it again
        vendor.working.clear()
        vendor.accepting.set()
        ended = await i2v.ended(job.name)
        assert (ended.state, ended.error.reason, ended.attempt) == (job_pb2.Job.FAILED, "DEADLINE_EXCEEDED", 1)
        vendor.working.set()
        assert (await i2v.ended(other.name)).state == job_pb2.Job.SUCCEEDED
        assert len(vendor.submitted) == 2


async def test_a_job_that_waits_outlives_its_worker(database: str, tmp_path: Path) -> None:
    vendor = ScriptedProvider(VIDEO)
    vendor.refusals = [busy(4)]
    async with providing(vendor) as address, served(database, tmp_path, {}, role=Role.API, change=remote) as i2v:
        settings = {
            "I2V_PROVIDERS": f"vendor={address}",
            "I2V_PROVIDER_LIMITS": "vendor=1/9",
            "I2V_FAKE_SLOTS": "0",
            "I2V_MODELS_FILE": str(GOLDEN / "remote.toml"),
            "I2V_SILENT_S": "3600",  # no worker takes the first one's jobs over
        }
        job = await i2v.submit(SPEC)
        with worker(database, tmp_path, "worker-0", **settings) as process:
            await i2v.until(job.name, "retrying")
            await entries_are_done(i2v, 1)  # else its slot is held until the worker is missed
            process.kill()
            process.wait()
        with worker(database, tmp_path, "worker-1", **settings):
            ended = await i2v.ended(job.name)
        assert (ended.state, ended.attempt, len(vendor.submitted)) == (job_pb2.Job.SUCCEEDED, 2, 2)
        assert await i2v.app.store.counter_audits.full(limit=9) == []


async def entries_are_done(i2v: Served, count: int) -> None:
    """Waits until so many queue entries have been run to their end."""
    query = sa.text("SELECT count(*) FROM dbos.workflow_status WHERE status = 'SUCCESS'")
    while True:
        async with i2v.app.store.database.reading() as connection:
            if (await connection.execute(query)).scalar_one() >= count:
                return
        await asyncio.sleep(0.1)
