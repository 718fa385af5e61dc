"""Audits of the counters: of what has changed, and of everything."""

import asyncio
from datetime import timedelta

import pytest
import sqlalchemy as sa

from services.orchestrator.domain import next_event
from services.orchestrator.domain.caller import Caller
from services.orchestrator.domain.counter_difference import Amounts, DifferenceKind
from services.orchestrator.domain.event import Accepted, Failed, JobError, Submitting, Succeeded, VideoOutput
from services.orchestrator.domain.job import Job
from services.orchestrator.domain.paid_call import Acceptance, Submission
from services.orchestrator.domain.spec import Size
from services.orchestrator.store.postgres_store import PostgresStore
from tests.support.builders import NOON, FakeClock, a_plan, admit, numbered

OUTPUT = VideoOutput("f" * 64, Size(64, 32), 8, 8.0, 1000, 1234)
MINUTE = 60.0


async def found(store: PostgresStore, clock: FakeClock) -> int:
    """Returns the differences of an audit a minute later."""
    clock.advance(MINUTE)
    last = await store.counter_audits.changes(every_s=MINUTE)
    assert last.time == clock.now()
    return last.differences


async def change(store: PostgresStore, statement: str) -> None:
    async with store.database.writing() as connection:
        await connection.execute(sa.text(statement))


async def rows(store: PostgresStore, table: str) -> int:
    async with store.database.reading() as connection:
        return int((await connection.execute(sa.text(f"SELECT count(*) FROM {table}"))).scalar_one())


async def succeed(store: PostgresStore, number: int) -> Job:
    job = await admit(store, numbered(number))
    await store.jobs.record(job.id, next_event.start)
    return (await store.jobs.record(job.id, lambda _: Succeeded(OUTPUT, 700))).after


async def test_jobs_that_are_open_that_ended_and_that_ended_before_the_last_audit_have_no_differences(
    store: PostgresStore, clock: FakeClock
) -> None:
    assert await found(store, clock) == 0
    await succeed(store, 1)
    await admit(store, numbered(2))
    assert await found(store, clock) == 0
    await store.jobs.record(numbered(2).id, next_event.cancel)
    await succeed(store, 3)
    assert await found(store, clock) == 0
    assert await rows(store, "unaudited_settlements") == 0
    assert await store.counter_audits.full(limit=9) == []


async def test_a_settlement_that_a_counter_lacks_is_found_also_after_many_right_ones(
    store: PostgresStore, clock: FakeClock
) -> None:
    for number in range(3):
        await succeed(store, number)
    assert await found(store, clock) == 0
    await succeed(store, 3)
    await change(store, "UPDATE counters SET used = used - 1 WHERE subject = 'user:ann' AND measure = 'spend'")
    assert await found(store, clock) == 1
    assert await found(store, clock) == 1  # it stays wrong, although nothing else has changed
    await change(store, "UPDATE counters SET used = used + 1 WHERE subject = 'user:ann' AND measure = 'spend'")
    assert await found(store, clock) == 0


async def test_a_hold_that_a_counter_lacks_and_one_too_many_are_found(store: PostgresStore, clock: FakeClock) -> None:
    await admit(store, numbered(1))
    await change(store, "UPDATE counters SET held = held + 1 WHERE subject = '' AND measure = 'spend'")
    assert await found(store, clock) == 1
    await change(store, "UPDATE counters SET held = held - 2 WHERE subject = '' AND measure = 'spend'")
    assert await found(store, clock) == 1
    await change(store, "UPDATE counters SET held = held + 1 WHERE subject = '' AND measure = 'spend'")
    assert await found(store, clock) == 0


async def test_a_booking_that_is_not_what_the_holds_say_is_found_until_it_is_repaired_and_its_use_is_added_once(
    store: PostgresStore, clock: FakeClock
) -> None:
    await succeed(store, 1)
    await change(store, "UPDATE ledger_entries SET spent_micros = 699 WHERE kind = 'settle'")
    assert await found(store, clock) == 1
    await succeed(store, 2)
    assert await found(store, clock) == 1
    [job] = [each for each in await store.counter_audits.full(limit=9) if each.kind is DifferenceKind.JOB]
    assert (job.job, job.found, job.expected) == (numbered(1).id, Amounts(0, 700), Amounts(0, 699))
    await change(store, "UPDATE ledger_entries SET spent_micros = 700 WHERE kind = 'settle'")
    assert await found(store, clock) == 0
    assert await rows(store, "unaudited_settlements") == 0


async def test_a_credit_without_a_booking_is_found(store: PostgresStore, clock: FakeClock) -> None:
    await admit(store, numbered(1))
    await change(store, "UPDATE counters SET credit = 5 WHERE subject = 'user:ann' AND measure = 'spend'")
    assert await found(store, clock) == 1
    await change(store, "UPDATE counters SET credit = 0")
    assert await found(store, clock) == 0


@pytest.mark.parametrize("between", [False, True], ids=["in the same audit", "in the audit after"])
async def test_a_refund_changes_what_is_expected(store: PostgresStore, clock: FakeClock, between: bool) -> None:
    job = await admit(store, numbered(1))
    await store.jobs.record(job.id, next_event.start)
    await store.jobs.record(job.id, lambda _: Submitting("vendor"), step=Submission("model"))
    await store.jobs.record(job.id, lambda _: Accepted("vendor"), step=Acceptance("task"))
    await store.jobs.record(job.id, lambda job: Failed(JobError("X", "x", retryable=False), job.price_micros))
    if between:
        assert await found(store, clock) == 0
    await store.paid_calls.refund(job.id)
    assert await found(store, clock) == 0
    assert await store.counter_audits.full(limit=9) == []
    await succeed(store, 2)
    assert await found(store, clock) == 0


async def test_one_process_audits_and_the_others_report_what_it_found(store: PostgresStore, clock: FakeClock) -> None:
    await admit(store, numbered(1))
    await change(store, "UPDATE counters SET held = held + 1 WHERE subject = '' AND measure = 'spend'")
    audits = await asyncio.gather(*(store.counter_audits.changes(every_s=MINUTE) for _ in range(5)))
    assert {each.differences for each in audits} == {1} and {each.time for each in audits} == {NOON}
    clock.advance(MINUTE / 2)
    assert (await store.counter_audits.changes(every_s=MINUTE)).time == NOON
    clock.time = NOON - timedelta(hours=1)  # a clock that was set back
    assert (await store.counter_audits.changes(every_s=MINUTE)).time == clock.time


async def test_a_full_audit_names_the_counter_and_both_amounts(store: PostgresStore) -> None:
    await store.admissions.admit(numbered(1), "fingerprint", Caller("studio", "ann", a_plan()), "test")
    await change(store, "UPDATE counters SET used = 2 WHERE subject = 'user:ann' AND measure = 'unfinished'")
    [found] = await store.counter_audits.full(limit=9)
    assert (found.kind, found.tenant, found.subject, found.measure, found.period) == (
        DifferenceKind.HOLDS,
        "studio",
        "user:ann",
        "unfinished",
        "",
    )
    assert (found.found, found.expected) == (Amounts(1, 2), Amounts(1, 0))
    await change(store, "DELETE FROM ledger_entries WHERE kind = 'reserve'")
    kinds = [each.kind for each in await store.counter_audits.full(limit=9)]
    assert kinds == [DifferenceKind.HOLDS, DifferenceKind.LEDGER, DifferenceKind.LEDGER, DifferenceKind.JOB]
    assert len(await store.counter_audits.full(limit=2)) == 2
