"""What every Store keeps, whatever happens at the same time."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from services.errors import NotFound, QuotaExceeded, RequestIdReused, Unavailable
from services.orchestrator.domain import event as events
from services.orchestrator.domain import job as jobs
from services.orchestrator.domain.asset import Asset
from services.orchestrator.domain.event import Cancelled, Failed, JobError, Progressed, Started, Succeeded, VideoOutput
from services.orchestrator.domain.job import Job, State
from services.orchestrator.domain.media_info import PictureInfo
from services.orchestrator.domain.paid_call import Acceptance, Submission
from services.orchestrator.domain.spec import Size
from services.orchestrator.ports.store import Recorded
from services.orchestrator.store import schema
from services.orchestrator.store.notifications import Signal
from services.orchestrator.store.postgres_store import PostgresStore
from services.orchestrator.store.queue_entries import Queue
from tests.support.builders import NOON, FakeClock, a_job, a_plan, admit

OUTPUT = VideoOutput("f" * 64, Size(64, 32), 8, 8.0, 1000, 1234)


def numbered(number: int, **changes: object) -> Job:
    return a_job(id=f"{number:032x}", request_id=f"00000000-0000-4000-8000-{number:012}", **changes)


async def settled(store: PostgresStore, job: Job) -> None:
    """Nothing of the job is left hanging, and the books are right."""
    assert await store.audit() == 0
    usage, _ = await store.usage(job.tenant, job.user, a_plan())
    assert (usage.user.reserved_micros, usage.user.active_jobs) == (0, 0)


async def test_an_admitted_job_is_stored_booked_and_told(store: PostgresStore) -> None:
    job = await admit(store, a_job())
    assert await store.job(job.id) == job
    assert [event.body for event in await store.events(job.id, after=0)] == [events.Admitted(job.quote_micros)]
    usage, entries = await store.usage("studio", "ann", a_plan())
    assert usage.user.reserved_micros == usage.tenant.reserved_micros == job.quote_micros == 1000
    assert [(entry.kind, entry.reserved_micros) for entry in entries] == [("reserve", 1000)]
    assert await store.audit() == 0


async def test_the_fragments_of_all_attempts_are_told_in_order(store: PostgresStore) -> None:
    job = await admit(store, a_job())
    told = [events.FragmentReady(index, "a" * 64, 4, 99, 0.5) for index in (0, 1, 0)]
    for body in (Started(1), *told[:2], Started(2), events.Continued(1, 0.5), told[2]):
        await store.record(job.id, lambda _, body=body: body)
    assert await store.fragments(job.id) == told
    assert events.Continued(1, 0.5) in [event.body for event in await store.events(job.id, after=0)]


async def test_a_repeat_returns_the_first_job_and_books_nothing(store: PostgresStore) -> None:
    first = await admit(store, a_job())
    second = await admit(store, a_job(id="1" * 32))
    assert second == first
    usage, _ = await store.usage("studio", "ann", a_plan())
    assert usage.user.active_jobs == 1


async def test_a_repeat_is_answered_even_when_the_first_used_the_budget_up(store: PostgresStore) -> None:
    first = await admit(store, a_job(), user_budget_micros=1000)
    assert await admit(store, a_job(id="1" * 32), user_budget_micros=1000) == first


async def test_a_repeat_is_answered_even_when_no_more_jobs_may_be_active(store: PostgresStore) -> None:
    first = await admit(store, a_job(), user_active_jobs=1)
    assert await admit(store, a_job(id="1" * 32), user_active_jobs=1) == first


async def test_a_request_id_with_another_spec_is_refused(store: PostgresStore) -> None:
    await admit(store, a_job())
    with pytest.raises(RequestIdReused):
        await store.admit(a_job(id="1" * 32), "another", a_plan(), "test")


async def test_two_users_may_use_the_same_request_id(store: PostgresStore) -> None:
    await admit(store, a_job())
    assert (await admit(store, a_job(id="1" * 32, user="bob"))).id == "1" * 32


@pytest.mark.parametrize(
    ("plan", "reason"),
    [
        ({"tenant_budget_micros": 999}, "TENANT_BUDGET_EXCEEDED"),
        ({"user_budget_micros": 999}, "USER_BUDGET_EXCEEDED"),
        ({"tenant_active_jobs": 0}, "TENANT_ACTIVE_JOBS_EXCEEDED"),
        ({"user_active_jobs": 0}, "USER_ACTIVE_JOBS_EXCEEDED"),
    ],
)
async def test_a_refused_job_leaves_no_trace(store: PostgresStore, plan: dict[str, int], reason: str) -> None:
    with pytest.raises(QuotaExceeded) as refused:
        await admit(store, a_job(), **plan)
    assert refused.value.reason == reason
    with pytest.raises(NotFound):
        await store.job(a_job().id)
    usage, entries = await store.usage("studio", "ann", a_plan())
    assert (usage.user.reserved_micros, usage.tenant.active_jobs, entries) == (0, 0, [])
    async with store.database.reading() as connection:
        assert (await connection.execute(sa.text("SELECT count(*) FROM dbos.workflow_status"))).scalar() == 0


async def test_a_race_for_a_budget_grants_exactly_the_budget(store: PostgresStore) -> None:
    results = await asyncio.gather(
        *(admit(store, numbered(n, user=f"user-{n % 7}"), tenant_budget_micros=40_000) for n in range(100)),
        return_exceptions=True,
    )
    granted = [result for result in results if isinstance(result, Job)]
    refused = [result for result in results if isinstance(result, QuotaExceeded)]
    assert (len(granted), len(refused)) == (40, 60)
    usage, _ = await store.usage("studio", "user-0", a_plan(tenant_budget_micros=40_000))
    assert usage.tenant.left_micros == 0
    assert await store.audit() == 0


async def test_many_repeats_at_once_make_one_job(store: PostgresStore) -> None:
    results = await asyncio.gather(*(admit(store, a_job(id=f"{n:032x}")) for n in range(50)))
    assert len({job.id for job in results}) == 1
    usage, _ = await store.usage("studio", "ann", a_plan())
    assert usage.user.reserved_micros == 1000


async def test_a_new_period_begins_with_a_fresh_budget_and_an_old_job_settles_in_its_own(
    store: PostgresStore, clock: FakeClock
) -> None:
    old = await admit(store, numbered(1), user_budget_micros=1000)
    clock.time = NOON + timedelta(days=30)
    new = await admit(store, numbered(2, create_time=clock.time), user_budget_micros=1000)
    await store.record(old.id, jobs.cancel)
    usage, _ = await store.usage("studio", "ann", a_plan())
    assert usage.user.reserved_micros == new.quote_micros
    assert await store.audit() == 0


async def test_a_job_of_the_last_period_is_still_unfinished_in_the_new(store: PostgresStore, clock: FakeClock) -> None:
    old = await admit(store, numbered(1))
    clock.time = NOON + timedelta(days=30)
    with pytest.raises(QuotaExceeded) as refused:
        await admit(store, numbered(2, create_time=clock.time), user_active_jobs=1)
    assert refused.value.reason == "USER_ACTIVE_JOBS_EXCEEDED"
    usage, _ = await store.usage("studio", "ann", a_plan())
    assert usage.user.active_jobs == usage.tenant.active_jobs == 1
    await store.record(old.id, jobs.cancel)
    await admit(store, numbered(2, create_time=clock.time), user_active_jobs=1)
    assert await store.audit() == 0


async def test_success_charges_the_quote_and_failure_nothing(store: PostgresStore) -> None:
    for number, end in enumerate([Succeeded(OUTPUT, 1000), Failed(JobError("X", "x", retryable=True), 0)]):
        job = await admit(store, numbered(number))
        await store.record(job.id, jobs.start)
        ended = (await store.record(job.id, lambda job, end=end: end)).after
        assert ended.state.ended and ended.charged_micros == end.charged_micros
        assert await store.job(job.id) == ended
        await settled(store, ended)
    usage, entries = await store.usage("studio", "ann", a_plan())
    assert usage.user.spent_micros == usage.tenant.spent_micros == 1000
    assert sorted((e.kind, e.reserved_micros, e.spent_micros) for e in entries) == [
        ("reserve", 1000, 0),
        ("reserve", 1000, 0),
        ("settle", -1000, 0),
        ("settle", -1000, 1000),
    ]


async def test_a_queued_job_is_cancelled_at_once_for_nothing(store: PostgresStore) -> None:
    job = await admit(store, a_job())
    ended = (await store.record(job.id, jobs.cancel)).after
    assert (ended.state, ended.charged_micros) == (State.CANCELLED, 0)
    assert await store.record(job.id, jobs.cancel) == Recorded(ended, None, ended)
    await settled(store, ended)


async def test_events_are_numbered_without_a_gap_whoever_writes(store: PostgresStore) -> None:
    job = await admit(store, a_job())
    await store.record(job.id, jobs.start)
    await asyncio.gather(*(store.record(job.id, lambda _, n=n: Progressed("generate", n / 40)) for n in range(40)))
    told = await store.events(job.id, after=0)
    assert [event.sequence for event in told] == list(range(1, 43))
    assert [event.sequence for event in await store.events(job.id, after=40)] == [41, 42]
    assert [event.sequence for event in await store.events(job.id, after=3, limit=2)] == [4, 5]


async def test_every_kind_of_event_comes_back_as_it_was(store: PostgresStore) -> None:
    error = JobError("ENGINE_BUSY", "busy", retryable=True)
    bodies = [
        Started(1),
        events.Progressed("generate", 0.5),
        events.FragmentReady(0, "a" * 64, 4, 99, 0.6),
        events.Retrying(error, NOON + timedelta(seconds=2)),
        Started(2),
        events.Retrying(error, NOON + timedelta(seconds=2), requeued=True),
        Started(3),
        events.CancelRequested(),
        Cancelled(400),
    ]
    job = await admit(store, a_job())
    for body in bodies:
        await store.record(job.id, lambda _, body=body: body)
    assert [event.body for event in await store.events(job.id, after=1)] == bodies


async def test_what_was_recorded_is_returned_with_the_job_before_and_after_it(store: PostgresStore) -> None:
    job = await admit(store, a_job())
    recorded = await store.record(job.id, jobs.start)
    assert recorded.before == job
    assert [recorded.event] == await store.events(job.id, after=1)
    assert recorded.after == await store.job(job.id)
    assert recorded.after.state is State.RUNNING


async def test_a_paid_call_is_not_stored_without_its_model_or_the_vendors_reference(store: PostgresStore) -> None:
    job = await admit(store, a_job())
    await store.record(job.id, jobs.start)
    for step in (None, Acceptance("task")):
        with pytest.raises(TypeError):
            await store.record(job.id, lambda _: events.Submitting("vendor"), step=step)
    await store.record(job.id, lambda _: events.Submitting("vendor"), step=Submission("model"))
    for step in (None, Submission("model")):
        with pytest.raises(TypeError):
            await store.record(job.id, lambda _: events.Accepted("vendor"), step=step)
    await store.record(job.id, lambda _: events.Accepted("vendor"), step=Acceptance("task"))
    call = await store.paid_call(await store.job(job.id))
    assert call is not None
    assert (call.model, call.external_ref, call.state) == ("model", "task", "accepted")


async def test_nothing_follows_a_terminal_event(store: PostgresStore) -> None:
    job = await admit(store, a_job())
    await store.record(job.id, jobs.cancel)
    with pytest.raises(jobs.IllegalEvent):
        await store.record(job.id, lambda _: Progressed("generate", 0.5))


async def test_what_decide_raises_leaves_everything_as_it_was(store: PostgresStore) -> None:
    job = await admit(store, a_job())

    def refuse(_: Job) -> None:
        raise jobs.Superseded

    with pytest.raises(jobs.Superseded):
        await store.record(job.id, refuse)
    assert await store.job(job.id) == job


async def test_a_user_sees_neither_another_users_nor_another_tenants_things(store: PostgresStore) -> None:
    job = await admit(store, a_job())
    asset = Asset("studio", "ann", "a" * 64, 10, PictureInfo("image/png", 64, 64), NOON)
    await store.put_asset(asset)
    for tenant, user in (("studio", "bob"), ("story", "ann")):
        with pytest.raises(NotFound):
            await store.job(job.id, tenant=tenant, user=user)
        with pytest.raises(NotFound):
            await store.asset(asset.sha256, tenant=tenant, user=user)
        assert await store.jobs(tenant, user, state=None, before=None, limit=10) == []
    assert await store.asset(asset.sha256, tenant="studio", user="ann") == asset


async def test_an_asset_noted_twice_is_the_first(store: PostgresStore) -> None:
    asset = Asset("studio", "ann", "a" * 64, 10, PictureInfo("image/png", 64, 64), NOON)
    await store.put_asset(asset)
    assert await store.put_asset(replace(asset, create_time=NOON + timedelta(days=1))) == asset


async def test_jobs_are_listed_newest_first_in_pages_and_by_state(store: PostgresStore) -> None:
    for number in range(5):
        await admit(store, numbered(number))
    await store.record(f"{3:032x}", jobs.cancel)
    page = await store.jobs("studio", "ann", state=None, before=None, limit=2)
    assert [job.id for job in page] == [f"{4:032x}", f"{3:032x}"]
    rest = await store.jobs("studio", "ann", state=State.QUEUED, before=page[-1].id, limit=10)
    assert [job.id for job in rest] == [f"{2:032x}", f"{1:032x}", f"{0:032x}"]


async def test_unknown_outcomes_are_counted_and_listed_in_pages_the_oldest_first(store: PostgresStore) -> None:
    admitted = [await admit(store, numbered(number)) for number in range(1, 5)]
    for job in admitted[:3]:
        await store.record(job.id, jobs.start)
        await store.record(job.id, lambda _: events.Submitting("vendor"), step=Submission("model"))
        await store.record(job.id, jobs.lost)
    first = await store.reconciling(after="", limit=2)
    rest = await store.reconciling(after=first[-1].id, limit=2)
    assert [job.id for job in (*first, *rest)] == [job.id for job in admitted[:3]]
    assert await store.count_reconciling() == 3


async def test_a_waiter_is_woken_by_events_and_by_stops_only_for_stops(store: PostgresStore) -> None:
    job = await admit(store, a_job())
    await store.record(job.id, jobs.start)
    async with store.changes(job.id) as changes, store.stops(job.id) as stops:
        assert await changes.wait(60) and await stops.wait(60)  # raised at first: look
        while await changes.wait(0.3) or await stops.wait(0.3):
            pass  # news of the start may come after the look
        await store.record(job.id, lambda _: Progressed("generate", 0.5))
        assert await changes.wait(60)
        assert not await stops.wait(0.2)
        await store.record(job.id, jobs.cancel)
        assert await changes.wait(60) and await stops.wait(60)


async def test_whoever_takes_jobs_off_a_queue_is_woken_by_what_is_put_onto_it(store: PostgresStore) -> None:
    async with store.entries("test") as entries, store.entries("other") as others:
        assert await entries.wait(5) and await others.wait(5)  # raised at first: look
        while await entries.wait(0.3) or await others.wait(0.3):
            pass
        job = await admit(store, a_job())
        assert await entries.wait(5)
        await store.record(job.id, jobs.start)
        await store.record(job.id, lambda _: events.Submitting("vendor"), step=Submission("model"))
        await store.record(job.id, jobs.lost)
        await store.record(job.id, lambda _: events.Accepted("vendor"), step=Acceptance("task"))
        assert not await entries.wait(0.2)
        await store.record(job.id, lambda now: events.Resumed(now.expire_time))
        assert await entries.wait(5)
        assert not await others.wait(0.2)


async def test_a_cancel_that_comes_together_with_a_signal_is_not_lost() -> None:
    signal = Signal()
    assert await signal.wait(60)
    waiting = asyncio.create_task(signal.wait(60))
    await asyncio.sleep(0.01)
    signal.raise_()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_waiters_survive_a_broken_connection(store: PostgresStore) -> None:
    job = await admit(store, a_job())
    async with store.changes(job.id) as changes:
        await changes.wait(60)
        async with store.database.writing() as connection:
            await connection.execute(
                sa.text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            )
        assert await changes.wait(10)  # woken when it listens again, and then hears
        await asyncio.gather(*(store.check() for _ in range(10)), return_exceptions=True)
        await store.record(job.id, jobs.start)
        assert await changes.wait(10)


async def test_a_submission_over_a_broken_connection_fails_once_and_not_for_each_connection(
    store: PostgresStore, database: str
) -> None:
    await asyncio.gather(*(store.check() for _ in range(5)))  # so many connections
    engine = create_async_engine(database, poolclass=sa.NullPool)
    async with engine.connect() as connection:
        await connection.execute(
            sa.text(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        )
    await engine.dispose()
    with pytest.raises(Unavailable):
        await admit(store, numbered(1))
    assert (await admit(store, numbered(2))).last_sequence == 1
    assert await store.audit() == 0


async def test_overdue_jobs_are_found_begun_ones_after_a_grace(store: PostgresStore) -> None:
    waiting, begun = await admit(store, numbered(1)), await admit(store, numbered(2))
    await store.record(begun.id, jobs.start)
    assert await store.overdue(waiting.expire_time, grace_s=30) == []
    late = waiting.expire_time + timedelta(seconds=1)
    assert await store.overdue(late, grace_s=30) == [waiting.id]
    assert set(await store.overdue(late + timedelta(seconds=30), grace_s=30)) == {waiting.id, begun.id}


async def test_keys_are_known_by_digest_alone(store: PostgresStore) -> None:
    async with store.database.reading() as connection:
        kept = str((await connection.execute(sa.select(schema.api_keys))).all())
    assert "studio-key" not in kept
    assert await store.tenant_of_key("0" * 64) is None


async def test_an_unreachable_database_is_unavailable(clock: FakeClock) -> None:
    store = PostgresStore(
        "postgresql://nobody@127.0.0.1:9/none", clock=clock, queue=Queue("make_video", "i2v-test", "1")
    )
    with pytest.raises(Unavailable):
        await store.check()
    await store.stop()
