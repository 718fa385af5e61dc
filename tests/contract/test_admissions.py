"""What Admissions keep when much happens at the same time."""

import asyncio

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from services.errors import NotFound, QuotaExceeded, RequestIdReused, Unavailable
from services.orchestrator.domain import event as events
from services.orchestrator.domain import next_event
from services.orchestrator.domain.job import Job
from services.orchestrator.domain.limits.hold import holds_of
from services.orchestrator.domain.turns import TenantShare
from services.orchestrator.domain.usage import Owner
from services.orchestrator.store import admission_statement
from services.orchestrator.store.postgres_store import PostgresStore
from services.orchestrator.store.queue_entries import Queue
from tests.support.builders import a_caller, a_job, admit, limit_status, numbered


async def test_an_admitted_job_is_stored_booked_and_told(store: PostgresStore) -> None:
    job = await admit(store, a_job())
    assert await store.jobs.get(job.id) == job
    assert [event.body for event in await store.job_events.read(job.id, after=0)] == [events.Admitted(job.quote_micros)]
    held = [(await limit_status(store, subject, "spend")).held for subject in ("user", "tenant")]
    assert held == [job.quote_micros, job.quote_micros] == [1000, 1000]
    entries = await store.ledger.newest(Owner("studio", "ann"), limit=100)
    assert [(entry.kind, entry.reserved_micros) for entry in entries] == [("reserve", 1000)]
    assert await store.counter_audits.full(limit=9) == []


async def test_a_repeat_returns_the_first_job_and_books_nothing(store: PostgresStore) -> None:
    first = await admit(store, a_job())
    second = await admit(store, a_job(id="1" * 32))
    assert second == first
    assert (await limit_status(store, "user", "unfinished")).held == 1


async def test_a_repeat_is_answered_even_when_the_first_used_the_budget_up(store: PostgresStore) -> None:
    first = await admit(store, a_job(), user_budget_micros=1000)
    assert await admit(store, a_job(id="1" * 32), user_budget_micros=1000) == first


async def test_a_repeat_is_answered_even_when_no_more_jobs_may_be_active(store: PostgresStore) -> None:
    first = await admit(store, a_job(), user_active_jobs=1)
    assert await admit(store, a_job(id="1" * 32), user_active_jobs=1) == first


async def test_a_request_id_with_another_spec_is_refused(store: PostgresStore) -> None:
    await admit(store, a_job())
    with pytest.raises(RequestIdReused):
        await store.admissions.admit(a_job(id="1" * 32), "another", a_caller(), "test")


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
        await store.jobs.get(a_job().id)
    assert (await limit_status(store, "user", "spend")).held == 0
    assert (await limit_status(store, "tenant", "unfinished")).held == 0
    assert await store.ledger.newest(Owner("studio", "ann"), limit=100) == []
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
    assert (await limit_status(store, "tenant", "spend", tenant_budget_micros=40_000)).left == 0
    assert await store.counter_audits.full(limit=9) == []


async def test_many_repeats_at_once_make_one_job(store: PostgresStore) -> None:
    results = await asyncio.gather(*(admit(store, a_job(id=f"{n:032x}")) for n in range(50)))
    assert len({job.id for job in results}) == 1
    assert (await limit_status(store, "user", "spend")).held == 1000


async def test_a_submission_over_a_broken_connection_fails_once_and_not_for_each_connection(
    store: PostgresStore, database: str
) -> None:
    await asyncio.gather(*(store.database.check() for _ in range(5)))  # so many connections
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
    assert await store.counter_audits.full(limit=9) == []


async def test_a_job_has_a_hold_on_each_counter_until_it_is_settled(store: PostgresStore) -> None:
    job = await admit(store, a_job())
    held = sa.text(
        "SELECT subject, measure, each.amount, each.used FROM holds,"
        " unnest(counters, amounts, settled) AS each (id, amount, used) JOIN counters ON counters.id = each.id"
    )
    async with store.database.reading() as connection:
        assert list(await connection.execute(held)) == [
            ("", "spend", 1000, None),
            ("", "unfinished", 1, None),
            ("user:ann", "spend", 1000, None),
            ("user:ann", "unfinished", 1, None),
        ]
    await store.jobs.record(job.id, next_event.cancel)
    async with store.database.reading() as connection:
        assert [row.used for row in await connection.execute(held)] == [0, 0, 0, 0]


@pytest.mark.parametrize("user", ['"ann"', "a\\b", "a\\n{}[],:", "NULL", "年 ü 🎬"])
async def test_a_user_with_any_name_has_its_own_counters(store: PostgresStore, user: str) -> None:
    await admit(store, a_job(user=user))
    assert (await limit_status(store, "user", "unfinished", user)).held == 1
    assert (await limit_status(store, "user", "unfinished", "ann")).held == 0


async def test_the_statement_is_planned_once_for_all_submissions(store: PostgresStore) -> None:
    queue = Queue("make_video", "i2v-test", "1")
    plans = "SELECT generic_plans > 0 FROM pg_prepared_statements WHERE statement LIKE '%enqueue_workflow%'"
    async with store.database.direct() as connection:
        for number in range(20):
            job = numbered(number, user=f"user-{number % 3}")
            holds = holds_of(job, a_caller(job.user))
            assert await admission_statement.book(
                connection, queue, job, "fingerprint", holds, "test", TenantShare("studio")
            )
        assert await (await connection.execute(plans)).fetchone() == (True,)
