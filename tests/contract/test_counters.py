"""What the counters say of a job until it is settled, and afterwards."""

from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa

from services.errors import QuotaExceeded
from services.orchestrator.domain import next_event
from services.orchestrator.domain.caller import Caller
from services.orchestrator.domain.event import Failed, JobError, Rerouted, Succeeded, VideoOutput
from services.orchestrator.domain.job import Job, State
from services.orchestrator.domain.limits.calendar import Per
from services.orchestrator.domain.limits.limit import Limit, Subject
from services.orchestrator.domain.limits.measure import Jobs, Measure, QueuedJobs, Spend, UnfinishedJobs, VideoSeconds
from services.orchestrator.domain.plan import Plan
from services.orchestrator.domain.spec import Size
from services.orchestrator.domain.usage import Owner
from services.orchestrator.ports.jobs import Recorded
from services.orchestrator.store.postgres_store import PostgresStore
from tests.support.builders import NOON, FakeClock, a_job, a_spec, admit, limit_status, numbered

OUTPUT = VideoOutput("f" * 64, Size(64, 32), 8, 8.0, 1000, 1234)


async def settled(store: PostgresStore, job: Job) -> None:
    """Nothing of the job is left hanging, and the books are right."""
    assert await store.counter_audits.full(limit=9) == []
    for subject in ("tenant", "user"):
        for measure in ("spend", "unfinished"):
            assert (await limit_status(store, subject, measure, job.user)).held == 0


async def test_a_new_period_begins_with_a_fresh_budget_and_an_old_job_settles_in_its_own(
    store: PostgresStore, clock: FakeClock
) -> None:
    old = await admit(store, numbered(1), user_budget_micros=1000)
    clock.time = NOON + timedelta(days=30)
    new = await admit(store, numbered(2, create_time=clock.time), user_budget_micros=1000)
    await store.jobs.record(old.id, next_event.cancel)
    assert (await limit_status(store, "user", "spend")).held == new.quote_micros
    assert await store.counter_audits.full(limit=9) == []


async def test_a_job_of_the_last_period_is_still_unfinished_in_the_new(store: PostgresStore, clock: FakeClock) -> None:
    old = await admit(store, numbered(1))
    clock.time = NOON + timedelta(days=30)
    with pytest.raises(QuotaExceeded) as refused:
        await admit(store, numbered(2, create_time=clock.time), user_active_jobs=1)
    assert refused.value.reason == "USER_ACTIVE_JOBS_EXCEEDED"
    assert [(await limit_status(store, subject, "unfinished")).held for subject in ("user", "tenant")] == [1, 1]
    await store.jobs.record(old.id, next_event.cancel)
    await admit(store, numbered(2, create_time=clock.time), user_active_jobs=1)
    assert await store.counter_audits.full(limit=9) == []


async def test_success_charges_the_quote_and_failure_nothing(store: PostgresStore) -> None:
    for number, end in enumerate([Succeeded(OUTPUT, 1000), Failed(JobError("X", "x", retryable=True), 0)]):
        job = await admit(store, numbered(number))
        await store.jobs.record(job.id, next_event.start)
        ended = (await store.jobs.record(job.id, lambda job, end=end: end)).after
        assert ended.state.ended and ended.charged_micros == end.charged_micros
        assert await store.jobs.get(job.id) == ended
        await settled(store, ended)
    assert [(await limit_status(store, subject, "spend")).used for subject in ("user", "tenant")] == [1000, 1000]
    entries = await store.ledger.newest(Owner("studio", "ann"), limit=100)
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


async def test_a_counter_that_is_not_the_sum_of_its_holds_is_counted_and_spending_without_an_entry_too(
    store: PostgresStore,
) -> None:
    await admit(store, a_job())
    assert await store.counter_audits.full(limit=9) == []
    async with store.database.writing() as connection:
        wrong = "UPDATE counters SET used = 1 WHERE subject = 'user:ann' AND measure = '{}'"
        await connection.execute(sa.text(wrong.format("unfinished")))
    assert len(await store.counter_audits.full(limit=9)) == 1
    async with store.database.writing() as connection:
        await connection.execute(sa.text(wrong.format("spend")))
    assert len(await store.counter_audits.full(limit=9)) == 3  # it is not what is held, nor what is booked


def every_limit(most: int | None) -> Plan:
    """A plan with a limit of each kind, for each subject."""
    measures: list[tuple[Measure, Per]] = [
        (Spend(), Per.DAY),
        (Jobs(), Per.MONTH),
        (Jobs(operation="text-to-video"), Per.DAY),
        (Jobs(model="test-model"), Per.ANNIVERSARY),
        (Jobs(capability="wan-2.5"), Per.DAY),
        (VideoSeconds(), Per.MONTH),
        (UnfinishedJobs(), Per.AT_A_TIME),
        (QueuedJobs(), Per.AT_A_TIME),
    ]
    limits = [Limit(measure, subject, per, most) for subject in Subject for measure, per in measures]
    return Plan("every", tuple(limits))


async def held(store: PostgresStore, caller: Caller) -> dict[str, tuple[int, int]]:
    return {each.limit.key: (each.held, each.used) for each in await store.counters.status(caller)}


async def test_each_kind_of_limit_counts_its_own_amount_until_the_job_starts_or_ends(store: PostgresStore) -> None:
    caller = Caller("studio", "ann", every_limit(10**9), key="k1")
    job = await store.admissions.admit(a_job(key="k1"), "fingerprint", caller, "test")
    counted = await held(store, caller)
    for subject in ("tenant", "user", "key"):
        amounts = {key.removeprefix(f"{subject} "): each for key, each in counted.items() if key.startswith(subject)}
        assert {
            "spend day": (1000, 0),
            "jobs month": (1, 0),
            "jobs:operation=text-to-video day": (1, 0),
            "jobs:model=test-model anniversary-month": (1, 0),
            "jobs:capability=wan-2.5 day": (0, 0),  # the job names a model
            "seconds month": (1000, 0),
            "unfinished at-a-time": (1, 0),
            "queued at-a-time": (1, 0),
        }.items() <= amounts.items()
    await store.jobs.record(job.id, next_event.start)
    counted = await held(store, caller)
    assert (counted["user queued at-a-time"], counted["user unfinished at-a-time"]) == ((0, 0), (1, 0))
    assert await store.counter_audits.full(limit=9) == []
    await store.jobs.record(job.id, lambda _: Succeeded(OUTPUT, 1000))
    counted = await held(store, caller)
    assert {counted[f"{subject} spend day"] for subject in ("tenant", "user", "key")} == {(0, 1000)}
    assert {counted[f"{subject} seconds month"] for subject in ("tenant", "user", "key")} == {(0, 1000)}
    assert (counted["user jobs month"], counted["user unfinished at-a-time"]) == ((0, 1), (0, 0))
    assert await store.counter_audits.full(limit=9) == []


async def test_a_job_that_ends_without_video_and_charge_counts_nothing(store: PostgresStore) -> None:
    caller = Caller("studio", "ann", every_limit(10**9), key="k1")
    job = await store.admissions.admit(a_job(key="k1"), "fingerprint", caller, "test")
    await store.jobs.record(job.id, next_event.cancel)
    assert set((await held(store, caller)).values()) == {(0, 0)}
    assert await store.counter_audits.full(limit=9) == []


async def test_none_is_allowed_where_the_limit_is_0_and_any_number_where_there_is_no_limit(
    store: PostgresStore,
) -> None:
    with pytest.raises(QuotaExceeded) as refused:
        await store.admissions.admit(a_job(), "fingerprint", Caller("studio", "ann", every_limit(0)), "test")
    assert len(refused.value.violations) == 2 * 7  # all but those of another capability; there is no key
    assert all(" no " in each.description for each in refused.value.violations)
    await store.admissions.admit(a_job(), "fingerprint", Caller("studio", "ann", every_limit(None)), "test")


async def test_a_credit_raises_the_limit_of_a_counter(store: PostgresStore) -> None:
    await admit(store, numbered(1), user_budget_micros=1000)
    with pytest.raises(QuotaExceeded):
        await admit(store, numbered(2), user_budget_micros=500)
    async with store.database.writing() as connection:
        await connection.execute(sa.text("UPDATE counters SET credit = 1500 WHERE subject = 'user:ann'"))
    await admit(store, numbered(2), user_budget_micros=500)
    status = await limit_status(store, "user", "spend", user_budget_micros=500)
    assert (status.held, status.most, status.left) == (2000, 2000, 0)
    with pytest.raises(QuotaExceeded):
        await admit(store, numbered(3), user_budget_micros=500)


async def test_a_job_counts_for_the_model_that_made_it_and_holds_every_limit_of_a_model_that_may(
    store: PostgresStore,
) -> None:
    cheap, dear = (Limit(Jobs(model=model), Subject.TENANT, Per.DAY, 1) for model in ("cheap", "dear"))
    caller = Caller("studio", "ann", Plan("two", (cheap, dear)))
    spec = replace(a_spec(), model="cheap", capability="video", models=("cheap", "dear"), duration_ms=1000)
    job = await store.admissions.admit(numbered(1, spec=spec), "fingerprint", caller, "test")
    counted = await held(store, caller)
    assert (counted[cheap.key], counted[dear.key]) == ((1, 0), (1, 0))
    await store.jobs.record(job.id, next_event.start)
    error = JobError("X", "x", retryable=True)
    await store.jobs.record(job.id, lambda _: Rerouted("dear", "test", 900, "cheap", error))
    await store.jobs.record(job.id, next_event.start)
    await store.jobs.record(job.id, lambda _: Succeeded(OUTPUT, 900))
    counted = await held(store, caller)
    assert (counted[cheap.key], counted[dear.key]) == ((0, 0), (0, 1))
    entries = await store.ledger.newest(Owner("studio", "ann"), limit=10)
    assert {(entry.model, entry.reserved_micros) for entry in entries} == {("dear", 1000), ("dear", -1000)}
    with pytest.raises(QuotaExceeded) as refused:
        await store.admissions.admit(numbered(2, spec=spec), "fingerprint", caller, "test")
    assert [each.measure for each in refused.value.violations] == ["jobs:model=dear"]


async def test_a_limit_of_a_capability_counts_jobs_that_name_its_model(store: PostgresStore) -> None:
    plan = Plan("one", (Limit(Jobs(capability="wan-2.5"), Subject.TENANT, Per.DAY, 1),))
    caller = Caller("studio", "ann", plan)
    await store.admissions.admit(numbered(1, capability="wan-2.5"), "fingerprint", caller, "test")
    with pytest.raises(QuotaExceeded):
        await store.admissions.admit(numbered(2, capability="wan-2.5"), "fingerprint", caller, "test")
    await store.admissions.admit(numbered(3, capability="kling"), "fingerprint", caller, "test")


async def test_counters_on_which_nothing_was_ever_booked_do_not_trouble_the_audit(store: PostgresStore) -> None:
    async with store.database.writing() as connection:
        await connection.execute(
            sa.text(
                "INSERT INTO counters (tenant, subject, measure, period, used, held, credit)"
                " VALUES ('studio', '', 'spend', '2020-01', 0, 0, 0), ('studio', 'user:x', 'spend', '2020-01', 0, 0, 0)"
            )
        )
    assert await store.counter_audits.full(limit=9) == []
