"""What Admissions keep of a batch: all its jobs or none, counted together, also when much happens at the same time."""

import asyncio
import random
from dataclasses import replace

import pytest
import sqlalchemy as sa

from services.errors import QuotaExceeded, RequestIdReused
from services.orchestrator.domain.caller import Caller
from services.orchestrator.domain.job import Job
from services.orchestrator.domain.limits.calendar import Per
from services.orchestrator.domain.limits.hold import demand_of
from services.orchestrator.domain.limits.limit import Limit, Subject
from services.orchestrator.domain.limits.measure import Jobs, Measure, QueuedJobs, Spend, UnfinishedJobs, VideoSeconds
from services.orchestrator.domain.plan import Plan
from services.orchestrator.ports.admissions import NewJob
from services.orchestrator.store.postgres_store import PostgresStore
from tests.support.builders import a_caller, a_job, admit, limit_status, numbered


def new(job: Job, fingerprint: str = "fingerprint") -> NewJob:
    return NewJob(job, fingerprint, "test")


def batch_of(*numbers: int, **changes: object) -> list[NewJob]:
    return [new(numbered(number, **changes)) for number in numbers]


async def count(store: PostgresStore, table: str) -> int:
    async with store.database.reading() as connection:
        return int((await connection.execute(sa.text(f"SELECT count(*) FROM {table}"))).scalar_one())


async def nothing_is_left(store: PostgresStore) -> None:
    for table in ("jobs", "job_events", "holds", "ledger_entries", "counters", "dbos.workflow_status"):
        assert await count(store, table) == 0, table


async def test_all_jobs_are_stored_booked_and_queued_in_their_order(store: PostgresStore) -> None:
    batch = batch_of(3, 1, 2, quote_id="0123456789ab", card_version="ba9876543210")
    admitted = await store.admissions.admit_all(batch, a_caller())
    assert {(job.quote_id, job.card_version) for job in admitted} == {("0123456789ab", "ba9876543210")}
    assert [job.id for job in admitted] == [numbered(number).id for number in (3, 1, 2)]
    for job in admitted:
        assert await store.jobs.get(job.id) == job
    assert (await limit_status(store, "user", "spend")).held == 3000
    booked = "ledger_entries WHERE quote_id = '0123456789ab' AND card_version = 'ba9876543210'"
    assert (await count(store, "dbos.workflow_status"), await count(store, booked)) == (3, 3)
    assert await store.counter_audits.full(limit=9) == []


async def test_a_batch_that_does_not_fit_as_a_sum_leaves_no_trace(store: PostgresStore) -> None:
    with pytest.raises(QuotaExceeded) as refused:
        await store.admissions.admit_all(batch_of(1, 2, 3), a_caller(user_budget_micros=2999, tenant_active_jobs=2))
    found = {(each.subject, each.measure): each.asked for each in refused.value.violations}
    assert found == {("user", "spend"): 3000, ("tenant", "unfinished"): 3}
    await nothing_is_left(store)


async def test_a_repeat_returns_the_same_jobs_and_books_nothing(store: PostgresStore) -> None:
    caller = a_caller(user_budget_micros=3000)
    first = await store.admissions.admit_all(batch_of(1, 2, 3), caller)
    again = [new(a_job(id=f"{9 + n:032x}", request_id=job.request_id)) for n, job in enumerate(first)]
    assert await store.admissions.admit_all(again, caller) == first
    assert (await limit_status(store, "user", "spend")).held == 3000


async def test_a_batch_of_which_a_part_was_admitted_before_adds_the_rest(store: PostgresStore) -> None:
    first = await admit(store, numbered(2), user_budget_micros=3000)
    admitted = await store.admissions.admit_all(batch_of(1, 2, 3), a_caller(user_budget_micros=3000))
    assert admitted[1] == first and await count(store, "jobs") == 3


async def test_a_request_id_of_another_spec_refuses_the_whole_batch(store: PostgresStore) -> None:
    await admit(store, numbered(2))
    with pytest.raises(RequestIdReused) as refused:
        await store.admissions.admit_all([*batch_of(1), new(numbered(2), "another")], a_caller())
    assert refused.value.metadata["request_id"] == numbered(2).request_id
    assert await count(store, "jobs") == 1
    assert (await limit_status(store, "user", "spend")).held == 1000


def plan_of(*measures: Measure, most: int) -> Plan:
    limits = [
        Limit(measure, subject, Per.AT_A_TIME if measure.at_a_time else per, most)
        for measure in measures
        for subject in Subject
        for per in ((Per.DAY,) if measure.at_a_time else (Per.DAY, Per.ANNIVERSARY))
    ]
    return Plan("many", tuple(limits))


MEASURES = (Jobs(), Jobs(model="test-model"), Jobs(operation="text-to-video"), VideoSeconds(), QueuedJobs(), Spend())


async def test_overlapping_batches_in_any_order_neither_deadlock_nor_admit_a_job_twice(store: PostgresStore) -> None:
    """Twelve batches of the same 30 request ids, each in an order of its own, among single submissions of them."""
    plan = plan_of(*MEASURES, UnfinishedJobs(), most=1_000_000)
    chance = random.Random(7)

    async def batch(call: int) -> list[Job]:
        numbers = chance.sample(range(30), 20)
        asked = [
            new(a_job(id=f"{1000 * (call + 1) + n:032x}", request_id=numbered(n).request_id, key="k1")) for n in numbers
        ]
        admitted = await store.admissions.admit_all(asked, Caller("studio", "ann", plan, key="k1"))
        assert [job.request_id for job in admitted] == [each.job.request_id for each in asked]
        return admitted

    async def single(n: int) -> list[Job]:
        job = a_job(id=f"{500 + n:032x}", request_id=numbered(n).request_id, key="k1")
        caller = Caller("studio", "ann", plan, key="k1")
        return [await store.admissions.admit(job, "fingerprint", caller, "test")]

    calls = [*(batch(call) for call in range(12)), *(single(n) for n in range(30))]
    chance.shuffle(calls)
    answers = [job for answer in await asyncio.gather(*calls) for job in answer]
    by_request = {job.request_id: job.id for job in answers}
    assert all(by_request[job.request_id] == job.id for job in answers)
    assert await count(store, "jobs") == len(by_request) == 30
    assert await store.counter_audits.full(limit=9) == []


async def test_batches_that_need_different_counters_of_one_tenant_do_not_deadlock(store: PostgresStore) -> None:
    """Each job has a counter of its model: one call needs them in the opposite order of the other's jobs."""
    models = [f"model-{n}" for n in range(6)]
    plan = plan_of(*(Jobs(model=model) for model in models), most=1_000_000)

    async def batch(call: int) -> None:
        order = models if call % 2 else models[::-1]
        asked = []
        for n, model in enumerate(order):
            spec = replace(a_job().spec, model=model)
            asked.append(new(numbered(100 * call + n, user=f"user-{call}", spec=spec)))
        await store.admissions.admit_all(asked, Caller("studio", f"user-{call}", plan))

    await asyncio.gather(*(batch(call) for call in range(60)))
    assert await count(store, "jobs") == 360
    assert await store.counter_audits.full(limit=9) == []


@pytest.mark.parametrize("measure", MEASURES, ids=lambda measure: measure.key)
async def test_batches_that_race_for_a_limit_get_whole_batches_within_it(
    store: PostgresStore, measure: Measure
) -> None:
    """Thirty batches of three, from users that never existed before, for a limit of ten jobs."""
    unit = measure.asked(demand_of(a_job())) or 0
    limit = Limit(measure, Subject.TENANT, Per.AT_A_TIME if measure.at_a_time else Per.DAY, 10 * unit)
    plan = Plan("ten", (limit,))

    async def batch(call: int) -> list[Job]:
        user = f"user-{call}"
        asked = batch_of(*range(10 * call, 10 * call + 3), user=user)
        return await store.admissions.admit_all(asked, Caller("studio", user, plan))

    answers = await asyncio.gather(*(batch(call) for call in range(30)), return_exceptions=True)
    assert sum(isinstance(answer, list) for answer in answers) == 3
    assert sum(isinstance(answer, QuotaExceeded) for answer in answers) == 27
    assert await count(store, "jobs") == 9
    assert await store.counter_audits.full(limit=9) == []
