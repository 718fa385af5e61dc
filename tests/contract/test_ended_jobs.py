"""The removal of old jobs: with all that belongs to them, but for the ledger, the counters and the video."""

from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from services.errors import NotFound
from services.orchestrator.domain import event as events
from services.orchestrator.domain import next_event
from services.orchestrator.domain.asset import blob_key
from services.orchestrator.domain.event import Body, JobError
from services.orchestrator.domain.job import Job, State
from services.orchestrator.domain.paid_call import Acceptance, Call, Step, Submission
from services.orchestrator.domain.retention import Due, Kind
from services.orchestrator.ports.retention import OldJob, OnHold
from services.orchestrator.store.postgres_store import PostgresStore
from tests.support.builders import NOON, FakeClock, a_caller, admit, numbered
from tests.support.old_jobs import ACT, DAY_S, Bytes, digest, end_of, known, retention, run_job, video

TABLES = ("jobs", "job_events", "holds", "paid_calls")


@pytest.fixture
def stored(tmp_path: Path) -> Bytes:
    return Bytes(tmp_path)


async def remove(store: PostgresStore, stored: Bytes, clock: FakeClock) -> int:
    return (await retention(store, stored.blobs, clock).run(Kind.JOBS, 100)).removed


async def rows(store: PostgresStore, table: str) -> int:
    async with store.database.reading() as connection:
        return int((await connection.execute(sa.text(f"SELECT count(*) FROM {table}"))).scalar_one())


async def paid(store: PostgresStore, number: int) -> Job:
    """Admits a job that fails although a vendor has its task."""
    job = await admit(store, numbered(number))
    steps: list[tuple[Body, Step | None]] = [
        (events.Started(1), None),
        (events.Submitting("vendor"), Submission("model")),
        (events.Accepted("vendor"), Acceptance(f"task {number}")),
    ]
    for body, step in steps:
        await store.jobs.record(job.id, lambda _, body=body: body, step=step)
    lost = JobError("X", "x", retryable=True, resumable=True)
    return (await store.jobs.record(job.id, lambda job: next_event.fail(job, lost))).after


async def resumed(store: PostgresStore, clock: FakeClock, number: int, root: Job) -> Job:
    free = {"quote_micros": 0, "price_micros": 0, "create_time": clock.now(), "call": Call.ACCEPTED}
    job = await admit(store, numbered(number, resumes=root.id, **free))
    await store.jobs.record(job.id, next_event.start)
    return job


async def test_a_job_goes_with_all_that_belongs_to_it_but_the_ledger_the_counters_and_its_video(
    store: PostgresStore, clock: FakeClock, stored: Bytes
) -> None:
    job = await run_job(store, clock, stored, numbered(1), fragments=("a",))
    entries = await rows(store, "ledger_entries")
    clock.advance(400 * DAY_S)
    assert await remove(store, stored, clock) == 0
    clock.advance(1)
    assert (await retention(store, stored.blobs, clock).due())[Kind.JOBS] == Due(1, NOON)
    assert await remove(store, stored, clock) == 1
    with pytest.raises(NotFound):
        await store.jobs.get(job.id)
    assert [await rows(store, table) for table in TABLES] == [0, 0, 0, 0]
    assert await rows(store, "ledger_entries") == entries == 2
    assert await store.counter_audits.full(limit=9) == []
    assert not await known(store, "studio", "ann", "a")
    assert await known(store, "studio", "ann", "video")
    assert await stored.has(blob_key("studio", digest("video")))


async def test_the_video_of_a_removed_job_outlives_another_job_that_has_it_as_a_fragment(
    store: PostgresStore, clock: FakeClock, stored: Bytes
) -> None:
    await run_job(store, clock, stored, numbered(1), output="a")
    clock.advance(DAY_S)
    await run_job(store, clock, stored, numbered(2), fragments=("a",))
    clock.advance(400 * DAY_S)
    assert await remove(store, stored, clock) == 1
    clock.advance(DAY_S)
    assert await remove(store, stored, clock) == 1
    assert await known(store, "studio", "ann", "a")
    assert await stored.has(blob_key("studio", digest("a")))


@pytest.mark.parametrize("state", [State.QUEUED, State.RUNNING])
async def test_a_job_that_has_not_ended_stays_whatever_its_age(
    store: PostgresStore, clock: FakeClock, stored: Bytes, state: State
) -> None:
    job = await run_job(store, clock, stored, numbered(1), state=state)
    clock.advance(1000 * DAY_S)
    assert await remove(store, stored, clock) == 0
    assert await store.jobs.get(job.id) == job


async def test_a_job_goes_together_with_the_one_that_resumed_it(
    store: PostgresStore, clock: FakeClock, stored: Bytes
) -> None:
    root = await paid(store, 1)
    clock.advance(10 * DAY_S)
    again = await resumed(store, clock, 2, root)
    await store.jobs.record(again.id, lambda _: events.Succeeded(end_of(State.SUCCEEDED).output, 0))  # type: ignore[union-attr]
    clock.advance(395 * DAY_S)  # the first has ended 405 days ago, the second 395
    assert await remove(store, stored, clock) == 0
    clock.advance(6 * DAY_S)
    assert await remove(store, stored, clock) == 2
    assert [await rows(store, table) for table in TABLES] == [0, 0, 0, 0]
    assert await store.counter_audits.full(limit=9) == []


async def test_a_paid_job_stays_while_it_can_be_resumed_and_goes_when_its_price_was_given_back(
    store: PostgresStore, clock: FakeClock, stored: Bytes
) -> None:
    root = await paid(store, 1)
    clock.advance(1000 * DAY_S)
    assert await remove(store, stored, clock) == 0
    await store.paid_calls.refund(root.id)
    assert await remove(store, stored, clock) == 1
    assert await store.counter_audits.full(limit=9) == []


async def test_a_paid_job_that_its_user_has_deleted_goes_like_any_other(
    store: PostgresStore, clock: FakeClock, stored: Bytes
) -> None:
    root = await paid(store, 1)
    await store.jobs.delete(root.id, tenant=root.tenant, user=root.user)
    clock.advance(400 * DAY_S)
    assert await remove(store, stored, clock) == 0
    clock.advance(1)
    await store.legal_holds.set(root.tenant, "a lawsuit", ACT)
    assert await remove(store, stored, clock) == 0
    await store.legal_holds.clear(root.tenant, ACT)
    assert await remove(store, stored, clock) == 1
    assert await store.counter_audits.full(limit=9) == []


async def test_a_resume_that_begins_after_the_jobs_were_listed_keeps_its_job(
    store: PostgresStore, clock: FakeClock, stored: Bytes
) -> None:
    root = await paid(store, 1)
    clock.advance(1000 * DAY_S)
    await resumed(store, clock, 2, root)
    old = OldJob(root.id, root.tenant, root.user, NOON)
    assert await store.old_jobs.remove(old, clock.now() - timedelta(days=400)) == 0
    assert await store.jobs.get(root.id) == root


async def test_jobs_of_a_tenant_under_a_legal_hold_stay_also_when_they_were_listed_before(
    store: PostgresStore, clock: FakeClock, stored: Bytes
) -> None:
    job = await run_job(store, clock, stored, numbered(1))
    other = await run_job(store, clock, stored, numbered(2, tenant="story"))
    clock.advance(401 * DAY_S)
    before = clock.now() - timedelta(days=400)
    listed = {old.id: old for old in await store.old_jobs.due_jobs(before, after=None, limit=10)}
    await store.legal_holds.set("studio", "a lawsuit", ACT)
    with pytest.raises(OnHold):
        await store.old_jobs.remove(listed[job.id], before)
    assert await remove(store, stored, clock) == 1
    assert await store.jobs.get(job.id) == job
    with pytest.raises(NotFound):
        await store.jobs.get(other.id)


async def test_more_jobs_than_a_batch_go_in_batches(store: PostgresStore, clock: FakeClock, stored: Bytes) -> None:
    jobs = [await run_job(store, clock, stored, numbered(number), state=State.FAILED) for number in range(1, 6)]
    clock.advance(401 * DAY_S)
    before = clock.now() - timedelta(days=400)
    seen: list[str] = []
    after = None
    while page := await store.old_jobs.due_jobs(before, after=after, limit=2):
        seen += [old.id for old in page]
        after = page[-1]
    assert seen == [job.id for job in jobs]


async def test_an_upload_of_a_removed_job_stays(store: PostgresStore, clock: FakeClock, stored: Bytes) -> None:
    job = await run_job(store, clock, stored, numbered(1), fragments=("a",))
    await store.assets.put(video(job, "a", clock.now()), a_caller(job.user, job.tenant))
    clock.advance(401 * DAY_S)
    assert await remove(store, stored, clock) == 1
    assert await known(store, "studio", "ann", "a")


async def test_a_resume_of_a_job_that_was_just_removed_finds_no_such_job(
    store: PostgresStore, clock: FakeClock
) -> None:
    with pytest.raises(NotFound):
        await resumed(store, clock, 2, numbered(1))
    assert await rows(store, "holds") == 0
    assert await store.counter_audits.full(limit=9) == []
