"""What Jobs keep when much is recorded at the same time."""

from dataclasses import replace
from datetime import timedelta

import pytest

from services.errors import NotFound
from services.orchestrator.domain import next_event
from services.orchestrator.domain.attempt_guard import Superseded
from services.orchestrator.domain.event import JobError, Progressed, Retrying
from services.orchestrator.domain.job import Job, State
from services.orchestrator.domain.job_transitions import IllegalEvent
from services.orchestrator.store.postgres_store import PostgresStore
from services.reasons import JobReason
from tests.support.builders import NOON, a_job, admit, numbered

BUSY = JobError(JobReason.ENGINE_BUSY, "Busy.", retryable=True)


async def test_what_was_recorded_is_returned_with_the_job_before_and_after_it(store: PostgresStore) -> None:
    job = await admit(store, a_job())
    recorded = await store.jobs.record(job.id, next_event.start)
    assert recorded.before == job
    assert [recorded.event] == await store.job_events.read(job.id, after=1)
    assert recorded.after == await store.jobs.get(job.id)
    assert recorded.after.state is State.RUNNING


async def test_nothing_follows_a_terminal_event(store: PostgresStore) -> None:
    job = await admit(store, a_job())
    await store.jobs.record(job.id, next_event.cancel)
    with pytest.raises(IllegalEvent):
        await store.jobs.record(job.id, lambda _: Progressed("generate", 0.5))


async def test_what_decide_raises_leaves_everything_as_it_was(store: PostgresStore) -> None:
    job = await admit(store, a_job())

    def refuse(_: Job) -> None:
        raise Superseded

    with pytest.raises(Superseded):
        await store.jobs.record(job.id, refuse)
    assert await store.jobs.get(job.id) == job


async def test_a_user_sees_neither_another_users_nor_another_tenants_jobs(store: PostgresStore) -> None:
    job = await admit(store, a_job())
    for tenant, user in (("studio", "bob"), ("story", "ann")):
        with pytest.raises(NotFound):
            await store.jobs.get(job.id, tenant=tenant, user=user)
        assert await store.jobs.page(tenant, user, state=None, after=None, limit=10) == []
    assert await store.jobs.get(job.id, tenant="studio", user="ann") == job


async def test_jobs_are_listed_newest_first_in_pages_and_by_state(store: PostgresStore) -> None:
    for number in range(5):
        await admit(store, numbered(number))
    await store.jobs.record(f"{3:032x}", next_event.cancel)
    page = await store.jobs.page("studio", "ann", state=None, after=None, limit=2)
    assert [job.id for job in page] == [f"{4:032x}", f"{3:032x}"]
    rest = await store.jobs.page("studio", "ann", state=State.QUEUED, after=page[-1].id, limit=10)
    assert [job.id for job in rest] == [f"{2:032x}", f"{1:032x}", f"{0:032x}"]
    oldest = await store.jobs.page("studio", "ann", state=None, after=f"{1:032x}", limit=2, oldest_first=True)
    assert [job.id for job in oldest] == [f"{2:032x}", f"{3:032x}"]


async def test_jobs_that_have_not_begun_by_their_start_timeout_are_found(store: PostgresStore) -> None:
    spec = replace(a_job().spec, start_timeout_ms=5000)
    waiting, begun = [await admit(store, numbered(number, spec=spec)) for number in (1, 2)]
    await admit(store, numbered(3))
    await store.jobs.record(begun.id, next_event.start)
    await store.jobs.record(begun.id, lambda _: Retrying(BUSY, NOON))
    assert await store.jobs.overdue(NOON + timedelta(seconds=4.9), grace_s=30) == []
    assert await store.jobs.overdue(NOON + timedelta(seconds=5), grace_s=30) == [waiting.id]


async def test_overdue_jobs_are_found_begun_ones_after_a_grace(store: PostgresStore) -> None:
    waiting, begun = await admit(store, numbered(1)), await admit(store, numbered(2))
    await store.jobs.record(begun.id, next_event.start)
    assert await store.jobs.overdue(waiting.expire_time, grace_s=30) == []
    late = waiting.expire_time + timedelta(seconds=1)
    assert await store.jobs.overdue(late, grace_s=30) == [waiting.id]
    assert set(await store.jobs.overdue(late + timedelta(seconds=30), grace_s=30)) == {waiting.id, begun.id}
