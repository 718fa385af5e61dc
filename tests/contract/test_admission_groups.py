"""Submissions that arrive while others are under way share a statement, and each is decided by itself."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import psycopg
import pytest
import sqlalchemy as sa

from services.errors import NotFound, QuotaExceeded, RequestIdReused, Unavailable
from services.orchestrator.domain.job import Job
from services.orchestrator.domain.limits.hold import holds_of
from services.orchestrator.domain.turns import TenantShare
from services.orchestrator.ports.admissions import NewJob
from services.orchestrator.store import batch_admission
from services.orchestrator.store.admission_groups import AdmissionGroups
from services.orchestrator.store.admission_statement import Booking
from services.orchestrator.store.database import Database, plain_url
from services.orchestrator.store.postgres_store import PostgresStore
from services.orchestrator.store.queue_entries import Queue
from tests.support.builders import FakeClock, a_caller, admit, numbered


async def transactions(store: PostgresStore) -> int:
    """Returns in how many transactions the jobs were written."""
    async with store.database.reading() as connection:
        return (await connection.execute(sa.text("SELECT count(DISTINCT CAST(xmin AS text)) FROM jobs"))).scalar_one()


async def stored(store: PostgresStore) -> set[str]:
    async with store.database.reading() as connection:
        return set((await connection.execute(sa.text("SELECT id FROM jobs"))).scalars())


async def with_all_its_rows(store: PostgresStore) -> int:
    """Returns how many jobs have their first event, holds, reservation and queue entry."""
    rows = sa.text(
        "SELECT count(*) FROM jobs"
        " JOIN holds ON holds.job_id = jobs.id JOIN job_events ON job_events.job_id = jobs.id AND kind = 'Admitted'"
        " JOIN ledger_entries AS entry ON reference = jobs.id AND entry.tenant = jobs.tenant"
        ' AND entry."user" = jobs."user" AND entry.kind = \'reserve\''
        " JOIN dbos.workflow_status ON workflow_uuid = jobs.id AND queue_partition_key LIKE '%/' || jobs.tenant"
    )
    async with store.database.reading() as connection:
        return (await connection.execute(rows)).scalar_one()


def a_booking(job: Job) -> Booking:
    caller = replace(a_caller(job.user), tenant=job.tenant)
    return Booking(NewJob(job, "fingerprint", "test"), holds_of(job, caller), TenantShare.of(job.tenant, caller.plan))


async def together(store: PostgresStore, jobs: list[Job], **plan: int) -> list[Job | BaseException]:
    """Submits jobs at the same moment."""
    return await asyncio.gather(*(admit(store, job, **plan) for job in jobs), return_exceptions=True)


@asynccontextmanager
async def locked(url: str, *tenants: str) -> AsyncIterator[None]:
    """Another process has the counters of these tenants and of their users `ann`."""
    other = Database(url, pool_size=1)
    try:
        async with other.writing() as connection:
            for tenant in tenants:
                await batch_admission.lock_counters(connection, tenant, [holds_of(numbered(0), a_caller())])
            yield
    finally:
        await other.close()


async def waiting_for_a_lock(url: str, count: int) -> None:
    """Returns when so many statements wait for another transaction."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    async with await psycopg.AsyncConnection.connect(plain_url(url), autocommit=True) as connection:
        while (await (await connection.execute(query)).fetchone() or (0,))[0] < count:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_jobs_that_arrive_together_share_a_transaction_and_each_has_all_its_rows(store: PostgresStore) -> None:
    jobs = [numbered(n, tenant=("studio", "story")[n % 2], user=f"user-{n % 3}") for n in range(30)]
    results = await together(store, jobs)
    assert [result.id for result in results if isinstance(result, Job)] == [job.id for job in jobs]
    assert await with_all_its_rows(store) == 30
    assert await transactions(store) <= 6
    assert await store.counter_audits.full(limit=9) == []


async def test_a_job_that_a_limit_refuses_takes_no_other_with_it(store: PostgresStore) -> None:
    mine = [admit(store, numbered(n), tenant_active_jobs=3) for n in range(10)]
    others = [admit(store, numbered(100 + n, tenant="story")) for n in range(10)]
    turns = [each for pair in zip(mine, others, strict=True) for each in pair]
    results = await asyncio.gather(*turns, return_exceptions=True)
    assert [type(result) for result in results[0::2]] == [Job] * 3 + [QuotaExceeded] * 7
    assert [type(result) for result in results[1::2]] == [Job] * 10
    assert len(await stored(store)) == await with_all_its_rows(store) == 13
    assert await store.counter_audits.full(limit=9) == []


async def test_jobs_of_one_request_in_one_group_are_one_job(store: PostgresStore) -> None:
    jobs = [replace(numbered(n), request_id=numbered(n % 3).request_id) for n in range(12)]
    other = store.admissions.admit(replace(jobs[1], id="f" * 32), "another", a_caller(), "test")
    *results, reused = await asyncio.gather(*(admit(store, job) for job in jobs), other, return_exceptions=True)
    assert [getattr(result, "id", result) for result in results] == [jobs[n % 3].id for n in range(12)]
    assert isinstance(reused, RequestIdReused)
    assert await stored(store) == {job.id for job in jobs[:3]}
    assert await store.counter_audits.full(limit=9) == []


async def test_a_value_that_postgresql_refuses_takes_no_other_with_it(store: PostgresStore) -> None:
    jobs = [numbered(n, user="bad\0" if n == 5 else "ann") for n in range(10)]
    results = await together(store, jobs)
    assert [type(result) for result in results].count(Job) == 9
    assert isinstance(results[5], psycopg.DataError)


async def test_a_call_that_ends_while_its_job_waits_books_nothing_and_takes_no_other_with_it(
    store: PostgresStore, database: str
) -> None:
    async with locked(database, "studio"):
        calls = [asyncio.create_task(admit(store, numbered(n))) for n in range(6)]
        await waiting_for_a_lock(database, 1)  # the first; the others wait for it
        calls[0].cancel()
        calls[3].cancel()
        await asyncio.gather(calls[0], calls[3], return_exceptions=True)
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(result) for result in results] == [asyncio.CancelledError, Job, Job, asyncio.CancelledError, Job, Job]
    for ended in (0, 3):
        with pytest.raises(NotFound):
            await store.jobs.get(numbered(ended).id)
    assert await store.counter_audits.full(limit=9) == []


async def test_a_call_that_ends_while_its_group_is_under_way_takes_no_other_with_it(store: PostgresStore) -> None:
    calls = [asyncio.create_task(admit(store, numbered(n))) for n in range(20)]
    await calls[0]  # the group of the others has begun
    await asyncio.sleep(0)
    calls[7].cancel()
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(result) for n, result in enumerate(results) if n != 7] == [Job] * 19
    assert await store.counter_audits.full(limit=9) == []


async def test_tenants_whose_counters_are_locked_delay_no_other(store: PostgresStore, database: str) -> None:
    blocked, free = ("a", "b", "c"), ("studio", "story")
    for tenant in blocked:
        await store.tenants.put(tenant, "test", f"{tenant * 64}")
    async with locked(database, *blocked):
        stuck = [asyncio.create_task(admit(store, numbered(n, tenant=blocked[n % 3]))) for n in range(9)]
        jobs = [numbered(10 + n, tenant=free[n % 2]) for n in range(20)]
        await together(store, jobs)
        assert {job.id for job in jobs} == await stored(store)
        assert not any(each.done() for each in stuck)
    assert [type(await each) for each in stuck] == [Job] * 9


async def test_jobs_behind_a_locked_counter_wait_no_longer_than_for_a_connection(
    store: PostgresStore, database: str
) -> None:
    queue = Queue("make_video", "i2v-test", "1")
    groups, names = AdmissionGroups(store.database, queue, wait_s=0.5), ("a", "b", "c", "c", "c")
    for tenant in "abc":
        await store.tenants.put(tenant, "test", f"{tenant * 64}")
    async with locked(database, *"abc"):
        # Those of `a` and `b` go at once. When they give way, those of `c` are a group, and then go one by one.
        calls = [asyncio.create_task(groups.book(a_booking(numbered(n, tenant=names[n])))) for n in range(5)]
        ended, _ = await asyncio.wait(calls[3:], timeout=30)
        assert {type(call.exception()) for call in ended} == {Unavailable}
        assert len(ended) == 2
    results = await asyncio.gather(*calls[:3], return_exceptions=True)
    assert results[:2] == [True, True]
    await groups.stop()


async def test_a_connection_that_is_cut_leaves_each_call_with_an_answer_that_can_be_repeated(
    store: PostgresStore, database: str
) -> None:
    jobs = [numbered(n) for n in range(20)]
    cut = (
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    async with (
        await psycopg.AsyncConnection.connect(plain_url(database), autocommit=True) as connection,
        locked(database, "studio"),
    ):
        calls = asyncio.ensure_future(together(store, jobs))
        while not await (await connection.execute(cut)).fetchone():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    results = await calls
    assert {type(result) for result in results} == {Job, Unavailable}
    again = [replace(job, id=f"{n:032x}") for n, job in enumerate(jobs, 100)]
    assert {type(result) for result in await together(store, again)} == {Job}
    assert len(await stored(store)) == 20
    assert await store.counter_audits.full(limit=9) == []


async def test_groups_of_two_processes_wait_in_one_order_and_together_take_no_more_than_a_limit(
    store: PostgresStore, database: str, clock: FakeClock
) -> None:
    names = ["a", "b", "c", "d", "e", "f"]
    for tenant in names:
        await store.tenants.put(tenant, "test", f"{tenant * 64}")
    other = PostgresStore(database, clock=clock, queue=Queue("make_video", "i2v-test", "1"))
    try:
        orders = [(store, names), (other, names[::-1])]
        results = await asyncio.gather(
            *(
                admit(process, numbered(1000 * place + n, tenant=tenants[n % 6], user="ann"), user_active_jobs=30)
                for n in range(240)
                for place, (process, tenants) in enumerate(orders)
            ),
            return_exceptions=True,
        )
    finally:
        await other.stop()
    assert Counter(type(result) for result in results) == {Job: 180, QuotaExceeded: 300}
    assert len(await stored(store)) == 180
    assert await store.counter_audits.full(limit=9) == []
