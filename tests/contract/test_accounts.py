"""What Accounts say of a job until it is settled, and afterwards."""

from datetime import timedelta

import pytest
import sqlalchemy as sa

from services.errors import QuotaExceeded
from services.orchestrator.domain import next_event
from services.orchestrator.domain.event import Failed, JobError, Succeeded, VideoOutput
from services.orchestrator.domain.job import Job, State
from services.orchestrator.domain.spec import Size
from services.orchestrator.ports.jobs import Recorded
from services.orchestrator.store.postgres_store import PostgresStore
from tests.support.builders import NOON, FakeClock, a_job, a_plan, admit, numbered

OUTPUT = VideoOutput("f" * 64, Size(64, 32), 8, 8.0, 1000, 1234)


async def settled(store: PostgresStore, job: Job) -> None:
    """Nothing of the job is left hanging, and the books are right."""
    assert await store.accounts.audit() == 0
    usage = (await store.accounts.statement(job.tenant, job.user, a_plan())).usage
    assert (usage.user.reserved_micros, usage.user.active_jobs) == (0, 0)


async def test_a_new_period_begins_with_a_fresh_budget_and_an_old_job_settles_in_its_own(
    store: PostgresStore, clock: FakeClock
) -> None:
    old = await admit(store, numbered(1), user_budget_micros=1000)
    clock.time = NOON + timedelta(days=30)
    new = await admit(store, numbered(2, create_time=clock.time), user_budget_micros=1000)
    await store.jobs.record(old.id, next_event.cancel)
    usage = (await store.accounts.statement("studio", "ann", a_plan())).usage
    assert usage.user.reserved_micros == new.quote_micros
    assert await store.accounts.audit() == 0


async def test_a_job_of_the_last_period_is_still_unfinished_in_the_new(store: PostgresStore, clock: FakeClock) -> None:
    old = await admit(store, numbered(1))
    clock.time = NOON + timedelta(days=30)
    with pytest.raises(QuotaExceeded) as refused:
        await admit(store, numbered(2, create_time=clock.time), user_active_jobs=1)
    assert refused.value.reason == "USER_ACTIVE_JOBS_EXCEEDED"
    usage = (await store.accounts.statement("studio", "ann", a_plan())).usage
    assert usage.user.active_jobs == usage.tenant.active_jobs == 1
    await store.jobs.record(old.id, next_event.cancel)
    await admit(store, numbered(2, create_time=clock.time), user_active_jobs=1)
    assert await store.accounts.audit() == 0


async def test_success_charges_the_quote_and_failure_nothing(store: PostgresStore) -> None:
    for number, end in enumerate([Succeeded(OUTPUT, 1000), Failed(JobError("X", "x", retryable=True), 0)]):
        job = await admit(store, numbered(number))
        await store.jobs.record(job.id, next_event.start)
        ended = (await store.jobs.record(job.id, lambda job, end=end: end)).after
        assert ended.state.ended and ended.charged_micros == end.charged_micros
        assert await store.jobs.get(job.id) == ended
        await settled(store, ended)
    statement = await store.accounts.statement("studio", "ann", a_plan())
    usage, entries = statement.usage, statement.entries
    assert usage.user.spent_micros == usage.tenant.spent_micros == 1000
    assert sorted((e.kind, e.reserved_micros, e.spent_micros) for e in entries) == [
        ("reserve", 1000, 0),
        ("reserve", 1000, 0),
        ("settle", -1000, 0),
        ("settle", -1000, 1000),
    ]


async def test_a_queued_job_is_cancelled_at_once_for_nothing(store: PostgresStore) -> None:
    job = await admit(store, a_job())
    ended = (await store.jobs.record(job.id, next_event.cancel)).after
    assert (ended.state, ended.charged_micros) == (State.CANCELLED, 0)
    assert await store.jobs.record(job.id, next_event.cancel) == Recorded(ended, None, ended)
    await settled(store, ended)


async def test_an_account_that_is_not_the_sum_of_its_entries_is_counted(store: PostgresStore) -> None:
    await admit(store, a_job())
    assert await store.accounts.audit() == 0
    async with store.database.writing() as connection:
        await connection.execute(sa.text("UPDATE accounts SET spent_micros = 1 WHERE \"user\" = 'ann'"))
    assert await store.accounts.audit() == 1
