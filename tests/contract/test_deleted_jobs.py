"""Jobs that their users have deleted: who sees them, and what stays."""

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from services.errors import NotFound, PreconditionFailed
from services.orchestrator.domain import next_event
from services.orchestrator.domain.event import Cancelled, JobError
from services.orchestrator.domain.job import State
from services.orchestrator.domain.job_record import JobFilter
from services.orchestrator.store.postgres_store import PostgresStore
from services.reasons import JobReason, RequestReason
from tests.support.builders import a_job, admit, numbered

OWNER = {"tenant": "studio", "user": "ann"}
BROKEN = JobError(JobReason.ENGINE_BUSY, "Busy.", retryable=True)


async def listed(store: PostgresStore, *, oldest_first: bool = False, omit_deleted: bool = False) -> list[str]:
    found = await store.jobs.page(
        "studio", "ann", state=None, after=None, limit=9, oldest_first=oldest_first, omit_deleted=omit_deleted
    )
    return [job.id for job in found]


async def test_an_ended_job_leaves_the_reads_of_its_user_and_nobody_elses(store: PostgresStore) -> None:
    stays, goes, stopped = [await admit(store, numbered(number)) for number in range(3)]
    await store.jobs.record(goes.id, next_event.start)
    await store.jobs.record(goes.id, lambda job: next_event.fail(job, BROKEN))
    await store.jobs.record(stopped.id, next_event.cancel)
    assert await listed(store) == await listed(store, omit_deleted=True) == [stopped.id, goes.id, stays.id]
    deleted = await store.jobs.delete(goes.id, **OWNER)
    assert (deleted.state, deleted.delete_time is not None, deleted.last_sequence) == (State.FAILED, True, 3)
    assert await listed(store) == await listed(store, omit_deleted=True) == [stopped.id, stays.id]
    assert await listed(store, oldest_first=True) == [stays.id, stopped.id]
    with pytest.raises(NotFound):
        await store.jobs.get(goes.id, **OWNER)
    assert await store.jobs.get(goes.id) == deleted, "workers and operators still see it"
    records = (await store.job_records.page(JobFilter(tenant="studio"), before=None, limit=9)).records
    assert goes.id in [each.job.id for each in records]


async def test_a_repeat_changes_nothing_and_the_books_stay(store: PostgresStore) -> None:
    job = await admit(store, a_job())
    await store.jobs.record(job.id, next_event.cancel)
    before = await store.job_records.details(job.id)
    first = await store.jobs.delete(job.id, **OWNER)
    assert await store.jobs.delete(job.id, **OWNER) == first
    after = await store.job_records.details(job.id)
    assert (after.holds, after.entries, after.events) == (before.holds, before.entries, before.events)
    assert await store.counter_audits.full(limit=9) == []


async def test_a_repeated_submission_finds_the_deleted_job_and_admits_no_other(store: PostgresStore) -> None:
    job = await admit(store, a_job())
    await store.jobs.record(job.id, next_event.cancel)
    deleted = await store.jobs.delete(job.id, **OWNER)
    assert await admit(store, a_job(id="f" * 32, request_id=job.request_id)) == deleted


async def test_a_job_that_goes_on_is_deleted_only_once_it_was_asked_to_stop(store: PostgresStore) -> None:
    waiting, running = await admit(store, numbered(1)), await admit(store, numbered(2))
    await store.jobs.record(running.id, next_event.start)
    for stopping in (False, True):
        for job, state in ((waiting, "queued"), (running, "running")):
            with pytest.raises(PreconditionFailed) as caught:
                await store.jobs.delete(job.id, **OWNER, stopping=stopping)
            assert caught.value.reason == RequestReason.JOB_UNFINISHED
            assert caught.value.metadata == {"job": f"jobs/{job.id}", "state": state}
    await store.jobs.record(running.id, next_event.cancel)
    with pytest.raises(PreconditionFailed):
        await store.jobs.delete(running.id, **OWNER)
    assert (await store.jobs.delete(running.id, **OWNER, stopping=True)).state is State.CANCELLING
    assert await listed(store) == [waiting.id]
    ended = (await store.jobs.record(running.id, lambda _: Cancelled(0))).after
    assert (ended.state, ended.delete_time is not None) == (State.CANCELLED, True)


@pytest.mark.parametrize("who", [{"tenant": "studio", "user": "bob"}, {"tenant": "story", "user": "ann"}])
async def test_somebody_elses_job_is_none(store: PostgresStore, who: dict[str, str]) -> None:
    job = await admit(store, a_job())
    await store.jobs.record(job.id, next_event.cancel)
    for stopping in (False, True):
        with pytest.raises(NotFound):
            await store.jobs.delete(job.id, **who, stopping=stopping)
    assert await listed(store) == [job.id]


async def test_the_database_refuses_a_deletion_of_work_that_nothing_stops(store: PostgresStore) -> None:
    job = await admit(store, a_job())
    with pytest.raises(IntegrityError, match="deleted_when_stopped"):
        async with store.database.writing() as connection:
            await connection.execute(sa.text("UPDATE jobs SET delete_time = now() WHERE id = :id"), {"id": job.id})
