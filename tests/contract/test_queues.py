"""What Queues say of waiting jobs, and whom they wake."""

from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa

from services.orchestrator.domain import event as events
from services.orchestrator.domain import next_event
from services.orchestrator.domain.caller import Caller
from services.orchestrator.domain.paid_call import Acceptance, Submission
from services.orchestrator.domain.queue_forecast import RunningJob, WaitingLine
from services.orchestrator.domain.run_rates import RunRates, variant
from services.orchestrator.domain.spec import Size
from services.orchestrator.domain.turns import TenantShare
from services.orchestrator.store.postgres_store import PostgresStore
from services.orchestrator.store.queue_entries import Queue
from services.orchestrator.store.workers import PostgresWorkers
from services.reasons import JobReason
from tests.support.builders import NOON, FakeClock, a_caller, a_job, a_plan, admit, numbered

AN_OUTPUT = events.VideoOutput("0" * 64, Size(64, 32), 8, 8.0, 1000, 10)
AN_ERROR = events.JobError(JobReason.ENGINE_BUSY, "Busy.", retryable=True)


TAKE = sa.text(
    "UPDATE dbos.workflow_status SET status = 'PENDING', started_at_epoch_ms = :begun WHERE workflow_uuid = :id"
)


async def test_waiting_jobs_are_counted_by_backend(store: PostgresStore) -> None:
    first, second, third = [await admit(store, numbered(number)) for number in (1, 2, 3)]
    other = await store.admissions.admit(numbered(4), "fingerprint", a_caller(), "other")
    await store.jobs.record(first.id, next_event.start)
    await store.jobs.record(third.id, next_event.cancel)
    assert [await store.queues.length(backend) for backend in ("test", "other", "none")] == [1, 1, 0]
    assert await store.queues.lengths() == {"test": 1, "other": 1}
    found = await store.queues.backends([first.id, second.id, third.id, other.id, "none"])
    assert found == {first.id: "test", second.id: "test", other.id: "other"}


async def test_a_snapshot_has_the_lines_of_the_tenants_and_the_jobs_in_slots(
    store: PostgresStore, clock: FakeClock
) -> None:
    jobs = [numbered(number, tenant=tenant) for number, tenant in enumerate(("studio", "studio", "story", "studio"))]
    plans = {"studio": a_plan(), "story": replace(a_plan(), priority=2, weight=3)}
    for job in jobs:
        await store.admissions.admit(job, "fingerprint", Caller(job.tenant, "ann", plans[job.tenant]), "test")
    async with store.database.writing() as connection:
        await connection.execute(TAKE, {"id": jobs[0].id, "begun": int(NOON.timestamp() * 1000)})
    await store.jobs.record(jobs[0].id, next_event.start)
    clock.advance(5)
    found = await store.queues.snapshot("test")
    kind = variant(jobs[0].spec)
    assert list(found.waiting) == [
        WaitingLine(TenantShare("studio"), [jobs[1].id, jobs[3].id], [kind, kind], [1000, 1000]),
        WaitingLine(TenantShare("story", 2, 3), [jobs[2].id], [kind], [1000]),
    ]
    assert list(found.running) == [RunningJob(jobs[0].id, TenantShare("studio"), kind, 1000, NOON)]
    assert (found.time, found.slots, found.rates, found.per_minute) == (clock.now(), 0, RunRates(), None)
    assert found.arrivals.keys() == {TenantShare("studio"), TenantShare("story", 2, 3)}
    assert all(1 / 600 <= rate <= 3 / 600 for rate in found.arrivals.values())
    assert not (await store.queues.snapshot("other")).waiting


async def test_slots_are_those_of_living_workers_within_the_limit_of_the_backend(
    store: PostgresStore, clock: FakeClock, database: str
) -> None:
    queue = Queue("make_video", "i2v-test", "1")
    for name, slots in (("one", {"test": 3, "other": 1}), ("two", {"test": 2})):
        worker = PostgresWorkers(store.database, database, clock, queue, worker=name, incarnation="a", slots=slots)
        await worker.beat()
    assert [(await store.queues.snapshot(name)).slots for name in ("test", "other", "none")] == [5, 1, 0]
    async with store.database.writing() as connection:
        # As a worker of the version before.
        await connection.execute(sa.text("UPDATE executors SET slots = NULL WHERE worker = 'two'"))
    assert (await store.queues.snapshot("test")).slots == 3
    clock.advance(61)
    assert (await store.queues.snapshot("test")).slots == 0


@pytest.mark.parametrize("changes", [{}, {"quality": "fast"}, {"size": None, "resolution": "720p"}])
async def test_the_run_of_a_job_is_measured_by_its_variant(
    store: PostgresStore, clock: FakeClock, changes: dict[str, Any]
) -> None:
    for number, run_s in enumerate((4.0, 8.0)):
        job = await admit(store, numbered(number, spec=replace(a_job().spec, duration_ms=2000, **changes)))
        await store.jobs.record(job.id, next_event.start)
        clock.advance(run_s)
        await store.jobs.record(job.id, lambda _: events.Succeeded(AN_OUTPUT, 0))
    assert (await store.queues.snapshot("test")).rates.measured == {variant(job.spec): pytest.approx(3.0)}


async def test_only_whole_runs_are_measured(store: PostgresStore, clock: FakeClock) -> None:
    failed, twice = [await admit(store, numbered(number)) for number in (1, 2)]
    for job in (failed, twice):
        await store.jobs.record(job.id, next_event.start)
        clock.advance(5)
    await store.jobs.record(failed.id, lambda job: next_event.fail(job, AN_ERROR))
    await store.jobs.record(twice.id, next_event.start)
    await store.jobs.record(twice.id, lambda _: events.Succeeded(AN_OUTPUT, 0))
    assert not (await store.queues.snapshot("test")).rates.measured


async def test_new_jobs_change_a_measurement_by_a_tenth(store: PostgresStore, clock: FakeClock) -> None:
    for number, run_s in enumerate([10.0] * 20 + [20.0]):
        job = await admit(store, numbered(number))
        await store.jobs.record(job.id, next_event.start)
        clock.advance(run_s)
        await store.jobs.record(job.id, lambda _: events.Succeeded(AN_OUTPUT, 0))
    assert list((await store.queues.snapshot("test")).rates.measured.values()) == [pytest.approx(11.0)]


async def test_a_requeued_job_keeps_priority_and_weight(store: PostgresStore) -> None:
    caller = Caller("studio", "ann", replace(a_plan(), priority=1, weight=7))
    job = await store.admissions.admit(a_job(), "fingerprint", caller, "test")
    await store.jobs.record(job.id, next_event.start)
    await store.jobs.record(job.id, lambda _: events.Retrying(AN_ERROR, NOON, requeued=True))
    async with store.database.reading() as connection:
        keys = await connection.execute(sa.text("SELECT queue_partition_key FROM dbos.workflow_status"))
        assert list(keys.scalars()) == ["1/7/studio", "1/7/studio"]


async def test_whoever_takes_jobs_off_a_queue_is_woken_by_what_is_put_onto_it(store: PostgresStore) -> None:
    async with store.queues.entries("test") as entries, store.queues.entries("other") as others:
        assert await entries.wait(5) and await others.wait(5)  # raised at first: look
        while await entries.wait(0.3) or await others.wait(0.3):
            pass
        job = await admit(store, a_job())
        assert await entries.wait(5)
        await store.jobs.record(job.id, next_event.start)
        await store.jobs.record(job.id, lambda _: events.Submitting("vendor"), step=Submission("model"))
        await store.jobs.record(job.id, next_event.lost)
        await store.jobs.record(job.id, lambda _: events.Accepted("vendor"), step=Acceptance("task"))
        assert not await entries.wait(0.2)
        await store.jobs.record(job.id, lambda now: events.Resumed(now.expire_time))
        assert await entries.wait(5)
        assert not await others.wait(0.2)
