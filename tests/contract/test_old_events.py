"""The removal of old jobs' events and fragments: what goes, and what somebody still needs."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from services.errors import NotFound
from services.orchestrator.domain.asset import blob_key
from services.orchestrator.domain.job import State
from services.orchestrator.domain.retention import NOTHING_DUE, Due, Kind
from services.orchestrator.ports.retention import OnHold
from services.orchestrator.retention.job_history import EVENTS_AT_ONCE, JobHistory
from services.orchestrator.store.old_jobs import SHARE
from services.orchestrator.store.postgres_store import PostgresStore
from tests.support.builders import NOON, FakeClock, a_caller, numbered
from tests.support.old_jobs import ACT, DAY_S, Bytes, digest, known, retention, run_job, sequences, video


@pytest.fixture
def stored(tmp_path: Path) -> Bytes:
    return Bytes(tmp_path)


async def remove(store: PostgresStore, stored: Bytes, clock: FakeClock) -> int:
    """Runs a round of this kind; returns the number of jobs."""
    return (await retention(store, stored.blobs, clock).run(Kind.EVENTS, 100)).removed


async def test_events_and_fragments_go_when_they_are_old_and_the_job_and_its_video_stay(
    store: PostgresStore, clock: FakeClock, stored: Bytes
) -> None:
    job = await run_job(store, clock, stored, numbered(1), fragments=("a", "b"))
    clock.advance(30 * DAY_S)
    assert await remove(store, stored, clock) == 0
    assert await sequences(store, job.id) == [1, 2, 3, 4, 5]
    clock.advance(1)
    removing = retention(store, stored.blobs, clock)
    assert (await removing.due())[Kind.EVENTS] == Due(1, NOON)
    assert await remove(store, stored, clock) == 1
    assert (await removing.due())[Kind.EVENTS] == NOTHING_DUE
    assert await sequences(store, job.id) == []
    assert await store.jobs.get(job.id) == job
    for name in ("a", "b"):
        assert not await known(store, "studio", "ann", name)
        assert not await stored.has(blob_key("studio", digest(name)))
    assert await known(store, "studio", "ann", "video")
    assert await stored.has(blob_key("studio", digest("video")))


@pytest.mark.parametrize("state", [State.QUEUED, State.RUNNING])
async def test_a_job_that_has_not_ended_keeps_its_events_whatever_its_age(
    store: PostgresStore, clock: FakeClock, stored: Bytes, state: State
) -> None:
    job = await run_job(store, clock, stored, numbered(1), state=state, fragments=("a",))
    clock.advance(1000 * DAY_S)
    assert await remove(store, stored, clock) == 0
    assert len(await sequences(store, job.id)) == job.last_sequence


@pytest.mark.parametrize("state", [State.FAILED, State.CANCELLED])
async def test_fragments_of_a_job_without_a_video_stay_without_its_events(
    store: PostgresStore, clock: FakeClock, stored: Bytes, state: State
) -> None:
    job = await run_job(store, clock, stored, numbered(1), state=state, fragments=("a",))
    clock.advance(31 * DAY_S)
    assert await remove(store, stored, clock) == 1
    assert await sequences(store, job.id) == []
    assert await known(store, "studio", "ann", "a")
    assert await stored.has(blob_key("studio", digest("a")))


async def test_a_fragment_that_another_job_has_goes_with_the_last_of_them(
    store: PostgresStore, clock: FakeClock, stored: Bytes
) -> None:
    await run_job(store, clock, stored, numbered(1), fragments=("a",))
    clock.advance(10 * DAY_S)
    await run_job(store, clock, stored, numbered(2), fragments=("a",))
    clock.advance(25 * DAY_S)
    assert await remove(store, stored, clock) == 1
    assert await known(store, "studio", "ann", "a")
    assert await stored.has(blob_key("studio", digest("a")))
    clock.advance(10 * DAY_S)
    assert await remove(store, stored, clock) == 1
    assert not await known(store, "studio", "ann", "a")
    assert not await stored.has(blob_key("studio", digest("a")))


async def test_a_fragment_that_is_the_video_of_another_job_stays(
    store: PostgresStore, clock: FakeClock, stored: Bytes
) -> None:
    await run_job(store, clock, stored, numbered(1), fragments=("a",))
    await run_job(store, clock, stored, numbered(2), output="a")
    clock.advance(31 * DAY_S)
    assert await remove(store, stored, clock) == 2
    assert await known(store, "studio", "ann", "a")
    assert await stored.has(blob_key("studio", digest("a")))


async def test_a_fragment_that_its_user_has_uploaded_stays(
    store: PostgresStore, clock: FakeClock, stored: Bytes
) -> None:
    job = await run_job(store, clock, stored, numbered(1), fragments=("a",))
    await store.assets.put(video(job, "a", clock.now()), a_caller(job.user, job.tenant))
    clock.advance(31 * DAY_S)
    assert await remove(store, stored, clock) == 1
    assert await known(store, "studio", "ann", "a")
    assert await stored.has(blob_key("studio", digest("a")))


async def test_bytes_that_another_user_has_too_stay_for_that_one(
    store: PostgresStore, clock: FakeClock, stored: Bytes
) -> None:
    await run_job(store, clock, stored, numbered(1), fragments=("a",))
    await run_job(store, clock, stored, numbered(2, user="ben"), state=State.RUNNING, fragments=("a",))
    clock.advance(31 * DAY_S)
    assert await remove(store, stored, clock) == 1
    assert not await known(store, "studio", "ann", "a")
    assert await known(store, "studio", "ben", "a")
    assert await stored.has(blob_key("studio", digest("a")))


async def test_bytes_that_were_just_written_again_stay_until_they_are_known_to_be_of_nobody(
    store: PostgresStore, clock: FakeClock, stored: Bytes
) -> None:
    job = await run_job(store, clock, stored, numbered(1), fragments=("a",))
    clock.advance(31 * DAY_S)
    await stored.put(blob_key("studio", digest("a")), age_s=60)  # an attempt is about to record them
    assert await remove(store, stored, clock) == 0
    assert await stored.has(blob_key("studio", digest("a")))
    assert len(await sequences(store, job.id)) == job.last_sequence
    await stored.put(blob_key("studio", digest("a")))
    assert await remove(store, stored, clock) == 1
    assert not await stored.has(blob_key("studio", digest("a")))


async def test_fragments_stay_if_the_video_is_not_an_asset_any_more(
    store: PostgresStore, clock: FakeClock, stored: Bytes
) -> None:
    await run_job(store, clock, stored, numbered(1), fragments=("a",))
    async with store.database.writing() as connection:
        for table in ("library_entries", "assets"):
            given = {"sha256": digest("video")}
            await connection.execute(sa.text(f"DELETE FROM {table} WHERE sha256 = :sha256"), given)
    clock.advance(31 * DAY_S)
    assert await remove(store, stored, clock) == 1
    assert await known(store, "studio", "ann", "a")


async def test_nothing_of_a_tenant_under_a_legal_hold_goes_until_it_ends(
    store: PostgresStore, clock: FakeClock, stored: Bytes
) -> None:
    held = await run_job(store, clock, stored, numbered(1), fragments=("a",))
    other = await run_job(store, clock, stored, numbered(2, tenant="story"), fragments=("a",))
    clock.advance(31 * DAY_S)
    await store.legal_holds.set("studio", "a lawsuit", ACT)
    assert (await retention(store, stored.blobs, clock).due())[Kind.EVENTS] == Due(1, NOON)
    assert await remove(store, stored, clock) == 1
    assert await sequences(store, other.id) == []
    assert len(await sequences(store, held.id)) == held.last_sequence
    assert await known(store, "studio", "ann", "a")
    assert await stored.has(blob_key("studio", digest("a")))
    await store.legal_holds.clear("studio", ACT)
    assert await remove(store, stored, clock) == 1
    assert not await stored.has(blob_key("studio", digest("a")))


async def test_a_hold_that_is_set_after_the_jobs_were_listed_still_keeps_them(
    store: PostgresStore, clock: FakeClock, stored: Bytes
) -> None:
    jobs = [await run_job(store, clock, stored, numbered(number), fragments=("a",)) for number in (1, 2)]
    clock.advance(31 * DAY_S)
    listed = await store.old_jobs.with_events(clock.now() - timedelta(days=30), after=None, limit=10)
    assert [job.id for job in listed] == [job.id for job in jobs]
    await store.legal_holds.set("studio", "a lawsuit", ACT)
    for old in listed:
        with pytest.raises(OnHold):
            await JobHistory(store.old_jobs, stored.blobs).remove(old)
    assert [len(await sequences(store, job.id)) for job in jobs] == [job.last_sequence for job in jobs]


async def test_a_new_hold_waits_for_a_removal_under_way(store: PostgresStore) -> None:
    async with store.database.writing() as removing:
        await removing.execute(SHARE, {"tenant": "studio"})
        setting = asyncio.create_task(store.legal_holds.set("studio", "a lawsuit", ACT))
        await asyncio.wait({setting}, timeout=0.2)
        assert not setting.done()
    await setting
    assert await store.legal_holds.all() == {"studio": "a lawsuit"}


async def test_holds_are_listed_with_their_reasons_and_only_of_tenants_that_exist(store: PostgresStore) -> None:
    assert await store.legal_holds.all() == {}
    await store.legal_holds.set("story", "a lawsuit", ACT)
    await store.legal_holds.set("story", "two lawsuits", ACT)
    assert await store.legal_holds.all() == {"story": "two lawsuits"}
    await store.legal_holds.clear("story", ACT)
    await store.legal_holds.clear("story", ACT)
    assert await store.legal_holds.all() == {}
    with pytest.raises(NotFound):
        await store.legal_holds.set("unknown", "a lawsuit", ACT)


async def test_a_job_with_a_hundred_thousand_events_is_cleared_in_transactions_of_a_limited_size(
    store: PostgresStore, clock: FakeClock, stored: Bytes
) -> None:
    job = await run_job(store, clock, stored, numbered(1))
    many = 100_000
    async with store.database.writing() as connection:
        # The chain is checked for each row, so the terminal event moves to its end.
        await connection.execute(sa.text("DELETE FROM job_events WHERE terminal"))
        await connection.execute(
            sa.text(
                "INSERT INTO job_events (job_id, sequence, time, kind, body, terminal)"
                ' SELECT :id, number, now(), \'Progressed\', \'{"stage": "x", "progress": 0.5}\', number = :many'
                " FROM generate_series(3, :many) AS number"
            ),
            {"id": job.id, "many": many},
        )
    clock.advance(31 * DAY_S)
    old = (await store.old_jobs.with_events(clock.now() - timedelta(days=30), after=None, limit=1))[0]
    assert await store.old_jobs.remove_events(old, EVENTS_AT_ONCE) == EVENTS_AT_ONCE
    assert (await sequences(store, job.id))[-1] == many - EVENTS_AT_ONCE
    assert await remove(store, stored, clock) == 1
    assert await sequences(store, job.id) == []
