"""Daily rollups: exact sums of the ledger, however late a booking comes, and after the bookings are gone."""

import asyncio
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa

from services.orchestrator.domain import next_event
from services.orchestrator.domain.counter_difference import DifferenceKind
from services.orchestrator.domain.event import (
    Accepted,
    Failed,
    JobError,
    Progressed,
    PromptWritten,
    Retrying,
    Submitting,
    Succeeded,
    VideoOutput,
)
from services.orchestrator.domain.job import Job
from services.orchestrator.domain.paid_call import Acceptance, Call, Submission
from services.orchestrator.domain.retention import Kind
from services.orchestrator.domain.rollup import Rollup, RollupFilter, RollupKey, RollupPage, RollupSums
from services.orchestrator.domain.spec import Size
from services.orchestrator.retention.ledger_folding import LedgerFolding
from services.orchestrator.store.database import plain_url
from services.orchestrator.store.postgres_store import PostgresStore
from tests.support.builders import NOON, FakeClock, a_spec, admit, numbered
from tests.support.old_jobs import DAY_S, Bytes, retention, run_job

OUTPUT = VideoOutput("f" * 64, Size(64, 32), 8, 8.0, 1000, 1234)
TODAY = NOON.date()
ERROR = JobError("X", "x", retryable=True)
REMOTE = {"spec": a_spec(model="remote-model", duration_ms=1000, seed=7, timeout_ms=60_000, quality="quality")}
LEDGER = sa.text("""
SELECT CAST(timezone('UTC', period_time) AS date), tenant, model, operation, sum(jobs), sum(video_ms),
    sum(spent_micros), sum(vendor_micros), sum(slot_ms)
FROM ledger_entries WHERE kind IN ('reserve', 'settle', 'refund') GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
""")
SPENT = sa.text("SELECT sum(spent_micros) FROM ledger_entries")


async def page(store: PostgresStore, limit: int = 100, after: RollupKey | None = None, **which: object) -> RollupPage:
    """Computes what has changed, and returns rollups."""
    await store.rollups.refresh()
    asked: dict[str, object] = {"since": date(2020, 1, 1), "until": date(2030, 1, 1)} | which
    return await store.rollups.page(RollupFilter(**asked), after=after, limit=limit)  # type: ignore[arg-type]


async def ledger(store: PostgresStore) -> list[tuple[object, ...]]:
    async with store.database.reading() as connection:
        return [tuple(row) for row in await connection.execute(LEDGER)]


def flat(rollups: list[Rollup]) -> list[tuple[object, ...]]:
    return [
        (
            *(each.key.day, each.key.tenant, each.key.model, each.key.operation),
            *(each.sums.jobs, each.sums.video_ms, each.sums.charged_micros, each.sums.vendor_micros),
            each.sums.slot_ms,
        )
        for each in rollups
    ]


async def succeed(store: PostgresStore, clock: FakeClock, job: Job, seconds: float = 5.0) -> None:
    await admit(store, job)
    await store.jobs.record(job.id, next_event.start)
    clock.advance(seconds)
    await store.jobs.record(job.id, lambda _: Succeeded(OUTPUT, 700))


async def pay(store: PostgresStore, job: Job) -> None:
    """Lets a vendor have the task of a job, which then fails."""
    await admit(store, job)
    await store.jobs.record(job.id, next_event.start)
    await store.jobs.record(job.id, lambda _: Submitting("vendor"), step=Submission("model"))
    await store.jobs.record(job.id, lambda _: Accepted("vendor"), step=Acceptance(f"task-{job.id}"))
    await store.jobs.record(job.id, lambda job: Failed(ERROR, job.price_micros))


async def test_every_sum_is_that_of_the_ledger_and_the_total_is_the_sum_of_the_rollups(
    store: PostgresStore, clock: FakeClock
) -> None:
    for number in range(12):
        clock.advance(number * 3600)
        job = numbered(number, tenant=["studio", "story"][number % 2], create_time=clock.now())
        if number % 5 == 4:
            await pay(store, numbered(number, create_time=clock.now(), **REMOTE))
        elif number % 3:
            await succeed(store, clock, job)
        else:
            await admit(store, job)
    found = await page(store)
    assert flat(found.rollups) == await ledger(store)
    assert len({each.key.day for each in found.rollups}) > 2
    for name in RollupSums.__dataclass_fields__:
        assert getattr(found.total, name) == sum(getattr(each.sums, name) for each in found.rollups), name
    assert await store.counter_audits.full(limit=9) == []


async def test_a_settlement_that_comes_days_later_changes_the_day_of_the_admission(
    store: PostgresStore, clock: FakeClock
) -> None:
    await admit(store, numbered(1))
    key = RollupKey(TODAY, "studio", "test-model", "text-to-video")
    assert (await page(store)).rollups == [Rollup(key, RollupSums(admitted=1))]
    clock.advance(3 * DAY_S)
    await store.jobs.record(numbered(1).id, next_event.start)
    clock.advance(2.5)
    await store.jobs.record(numbered(1).id, lambda _: Succeeded(OUTPUT, 700))
    [found] = (await page(store)).rollups
    sums = RollupSums(admitted=1, jobs=1, video_ms=1000, charged_micros=700, slot_ms=2500)
    assert found == Rollup(key, sums) and sums.margin_micros == 700


async def test_a_refund_gives_the_charge_and_the_vendors_cost_back_on_the_same_day(
    store: PostgresStore, clock: FakeClock
) -> None:
    await pay(store, numbered(1, **REMOTE))
    [found] = (await page(store)).rollups
    assert (found.sums.charged_micros, found.sums.vendor_micros, found.sums.slot_ms) == (1000, 1000, 0)
    clock.advance(40 * DAY_S)
    await store.paid_calls.refund(numbered(1).id)
    [found] = (await page(store)).rollups
    assert found.sums == RollupSums(admitted=1)


async def test_a_job_that_resumes_paid_work_costs_neither_its_task_nor_its_prompt_again(
    store: PostgresStore, clock: FakeClock
) -> None:
    written = PromptWritten("a wave at dusk", "", "json", "writer", cost_micros=40)
    await pay(store, numbered(1, **REMOTE, written=written))
    again = numbered(2, **REMOTE, written=written, resumes=numbered(1).id, call=Call.ACCEPTED)
    await admit(store, replace(again, quote_micros=0, price_micros=0))
    await store.jobs.record(again.id, next_event.start)
    await store.jobs.record(again.id, lambda _: Succeeded(OUTPUT, 0))
    assert (await page(store)).total.vendor_micros == 1040


async def test_the_time_of_slots_is_that_of_attempts_without_the_pauses_between_them(
    store: PostgresStore, clock: FakeClock
) -> None:
    job = await admit(store, numbered(1))

    async def happen(body: object, seconds: float) -> None:
        clock.advance(seconds)
        await store.jobs.record(job.id, lambda _: body)  # type: ignore[arg-type,return-value]

    clock.advance(100)
    await store.jobs.record(job.id, next_event.start)
    await happen(Retrying(ERROR, NOON), 3)
    clock.advance(1000)
    await store.jobs.record(job.id, next_event.start)
    await happen(Progressed("generate", 0.5), 4)
    clock.advance(1000)  # the worker is lost
    await store.jobs.record(job.id, next_event.start)
    await happen(Progressed("generate", 0.8), 5)
    await happen(Retrying(ERROR, NOON), 1)
    await happen(Failed(ERROR, 0), 1000)  # its deadline, while it waits
    [found] = (await page(store)).rollups
    assert found.sums.slot_ms == 13_000


async def test_a_rollup_counts_from_midnight_in_utc(store: PostgresStore, clock: FakeClock) -> None:
    midnight = datetime(2026, 11, 22, tzinfo=UTC)
    for number, time in enumerate([midnight - timedelta(microseconds=1), midnight]):
        await admit(store, numbered(number, create_time=time))
    assert [each.key.day.day for each in (await page(store)).rollups] == [21, 22]


async def test_pages_and_filters_miss_and_repeat_nothing(store: PostgresStore, clock: FakeClock) -> None:
    for number in range(6):
        time = NOON - timedelta(days=number // 2)
        await admit(store, numbered(number, tenant=["studio", "story"][number % 2], create_time=time))
    seen: list[Rollup] = []
    while part := (await page(store, limit=2, after=seen[-1].key if seen else None)).rollups:
        seen += part
    assert seen == (await page(store)).rollups and len(seen) == 6
    assert [each.key.tenant for each in (await page(store, tenant="story")).rollups] == ["story"] * 3
    assert len((await page(store, since=TODAY)).rollups) == 2
    assert len((await page(store, until=TODAY - timedelta(days=1))).rollups) == 4
    assert (await page(store, model="other")).rollups == []
    assert (await page(store, operation="other")).total == RollupSums()
    assert (await store.rollups.of_models(TODAY))["test-model"].admitted == 2
    assert (await store.rollups.of_tenants(TODAY))["story"].admitted == 1


async def test_rollups_outlive_jobs_and_a_fold_also_where_a_months_end_is_within_a_day(
    store: PostgresStore, clock: FakeClock, tmp_path: Path
) -> None:
    async with store.database.writing() as connection:
        await connection.execute(sa.text("UPDATE tenants SET time_zone = 'America/New_York' WHERE id = 'studio'"))
    stored = Bytes(tmp_path)
    clock.time = datetime(2025, 10, 31, 12, tzinfo=UTC)
    for number, hours in enumerate([0, 15, 18, 80], start=1):  # the second is in October there, the third is not
        clock.time = datetime(2025, 10, 31, 12, tzinfo=UTC) + timedelta(hours=hours)
        await run_job(store, clock, stored, numbered(number, create_time=clock.now()))
    before = await page(store)
    assert [each.key.day.day for each in before.rollups] == [31, 1, 3]
    clock.advance(401 * DAY_S)
    await retention(store, stored.blobs, clock).run(Kind.JOBS, 100)
    assert await page(store) == RollupPage(before.rollups, before.total, clock.now())
    folding = LedgerFolding(store.old_bookings, store.tenants, clock)
    await folding.fold("studio", "2025-11", dry_run=False)
    assert (await page(store)).rollups == before.rollups
    async with store.database.writing() as connection:  # a booking of the same UTC day, after the fold
        late = "UPDATE ledger_entries SET time = :now WHERE kind = 'settle' AND period_time < '2025-11-02'"
        await connection.execute(sa.text(late), {"now": clock.now()})
    assert (await page(store)).rollups == before.rollups
    await folding.fold("studio", "2025-12", dry_run=False)
    found = await page(store)
    assert found.rollups == before.rollups
    async with store.database.reading() as connection:
        assert (await connection.execute(SPENT)).scalar_one() == found.total.charged_micros
    assert await store.counter_audits.full(limit=9) == []


async def test_an_audit_finds_a_rollup_that_is_not_what_the_ledger_has_until_all_are_computed_again(
    store: PostgresStore, clock: FakeClock
) -> None:
    await succeed(store, clock, numbered(1))
    await page(store)
    clock.advance(2 * DAY_S)
    await page(store)
    await change(store, "UPDATE daily_rollups SET charged_micros = charged_micros + 1")
    [wrong] = await store.counter_audits.full(limit=9)
    assert (wrong.kind, wrong.tenant, wrong.measure) == (DifferenceKind.ROLLUP, "studio", "charged:model=test-model")
    assert (wrong.found.used, wrong.expected.used) == (701, 700)
    await change(store, "UPDATE rollup_rounds SET time = NULL")
    assert await store.counter_audits.full(limit=9) == []
    found = await store.rollups.of_models(TODAY)
    assert found["test-model"].charged_micros == 701, "an audit changes nothing"
    assert (await page(store)).total.charged_micros == 700


async def test_a_round_that_is_young_enough_is_not_repeated(store: PostgresStore, clock: FakeClock) -> None:
    await store.rollups.refresh()
    await admit(store, numbered(1))
    clock.advance(30)
    await store.rollups.refresh(every_s=60)
    assert await store.rollups.of_models(TODAY) == {}
    clock.advance(31)
    await store.rollups.refresh(every_s=60)
    assert (await store.rollups.of_models(TODAY))["test-model"].admitted == 1


async def test_callers_that_wait_for_a_long_round_leave_the_other_connections_to_others(
    store: PostgresStore, database: str
) -> None:
    async with await psycopg.AsyncConnection.connect(plain_url(database)) as other:
        await other.execute("LOCK TABLE rollup_rounds IN EXCLUSIVE MODE")
        waiting = [asyncio.create_task(store.rollups.refresh()) for _ in range(store.database.pool_size + 2)]
        while not store.database.connections_in_use():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await store.database.check()
        assert store.database.connections_in_use() == 1
    await asyncio.gather(*waiting)


@pytest.mark.parametrize("booked_s", [0, -600, 600])
async def test_a_booking_of_a_process_whose_clock_differs_by_minutes_is_not_missed(
    store: PostgresStore, clock: FakeClock, booked_s: float
) -> None:
    await page(store)
    clock.advance(booked_s)
    await succeed(store, clock, numbered(1, create_time=clock.now()))
    clock.advance(-booked_s)
    assert (await page(store)).total.charged_micros == 700


async def change(store: PostgresStore, statement: str) -> None:
    async with store.database.writing() as connection:
        await connection.execute(sa.text(statement))
