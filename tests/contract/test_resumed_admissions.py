"""The admission of jobs that fetch the paid work of another: next to refunds, ends and limits of their tenant."""

import asyncio

import sqlalchemy as sa

from services.errors import ServiceError
from services.orchestrator.domain import next_event
from services.orchestrator.domain.event import Accepted, Failed, JobError, Submitting
from services.orchestrator.domain.job import Job
from services.orchestrator.domain.paid_call import Acceptance, Call, Submission
from services.orchestrator.ports.jobs import Recorded
from services.orchestrator.store.postgres_store import PostgresStore
from tests.support.builders import a_caller, admit, numbered

LOST_VIDEO = JobError("X", "x", retryable=True, resumable=True)


async def paid_without_video(store: PostgresStore, number: int) -> Job:
    """Returns a failed job whose paid video may still be fetched."""
    job = await admit(store, numbered(number))
    await store.jobs.record(job.id, next_event.start)
    await store.jobs.record(job.id, lambda _: Submitting("test"), step=Submission("model"))
    await store.jobs.record(job.id, lambda _: Accepted("test"), step=Acceptance(f"task-{number}"))
    return (await store.jobs.record(job.id, lambda job: Failed(LOST_VIDEO, job.quote_micros))).after


async def resume(store: PostgresStore, root: Job, number: int, **plan: int) -> Job:
    job = numbered(number, resumes=root.id, call=Call.ACCEPTED, quote_micros=0, price_micros=0)
    return await store.admissions.admit(job, "resume", a_caller(**plan), "test")


async def test_a_resume_and_a_refund_at_the_same_time_do_not_wait_for_each_other(store: PostgresStore) -> None:
    for number in range(12):
        root = await paid_without_video(store, number)

        async def later(root: Job = root, number: int = number) -> Job:
            await asyncio.sleep(0.002 * (number % 6))
            return await resume(store, root, 1000 + number)

        for outcome in await asyncio.gather(store.paid_calls.refund(root.id), later(), return_exceptions=True):
            assert not isinstance(outcome, BaseException) or (
                isinstance(outcome, ServiceError) and outcome.reason == "NOT_REFUNDABLE"
            ), outcome
    assert await store.counter_audits.full(limit=9) == []


async def test_a_resume_and_the_end_of_the_one_before_do_not_wait_for_each_other(store: PostgresStore) -> None:
    root = await paid_without_video(store, 0)
    for number in range(1, 13):
        before = await resume(store, root, number)

        async def later(number: int = number) -> Job | Recorded:
            await asyncio.sleep(0.001 * (number % 4))
            return await resume(store, root, 1000 + number)

        end = store.jobs.record(before.id, lambda job: Failed(LOST_VIDEO, job.owed_micros))
        outcomes = await asyncio.gather(end, later(), return_exceptions=True)
        assert not any(isinstance(outcome, BaseException) for outcome in outcomes), outcomes
        if isinstance(outcomes[1], Job) and outcomes[1].id != before.id:
            await store.jobs.record(outcomes[1].id, lambda job: Failed(LOST_VIDEO, job.owed_micros))
    assert await store.counter_audits.full(limit=9) == []


async def test_a_second_resume_returns_the_first_also_when_no_more_jobs_may_be_unfinished(store: PostgresStore) -> None:
    root = await paid_without_video(store, 0)
    first = await resume(store, root, 1, user_active_jobs=1)
    assert await resume(store, root, 2, user_active_jobs=1) == first


async def test_a_paid_video_is_fetched_also_after_a_change_to_a_plan_with_less_money(store: PostgresStore) -> None:
    root = await paid_without_video(store, 0)
    resumed = await resume(store, root, 1, user_budget_micros=500, tenant_budget_micros=1)
    assert resumed.resumes == root.id
    await store.jobs.record(resumed.id, lambda job: Failed(LOST_VIDEO, job.owed_micros))
    assert await store.counter_audits.full(limit=9) == []


async def test_a_debit_beyond_the_limit_does_not_refuse_what_costs_nothing(store: PostgresStore) -> None:
    root = await paid_without_video(store, 0)
    async with store.database.writing() as connection:
        await connection.execute(sa.text("UPDATE counters SET credit = 0, \"limit\" = 5000 WHERE measure = 'spend'"))
        await connection.execute(sa.text("UPDATE counters SET credit = -4000 WHERE measure = 'spend'"))
    assert (await resume(store, root, 1, user_budget_micros=900)).resumes == root.id
