"""The removal of checkpoints that stayed behind."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from services.orchestrator.domain.asset import CHECKPOINTS, checkpoint_key
from services.orchestrator.domain.content_credentials import Identity
from services.orchestrator.domain.job import State
from services.orchestrator.domain.retention import Ages, Kind
from services.orchestrator.domain.signed_output import SignedOutput, note_key, to_bytes
from services.orchestrator.store import stored_bytes
from services.orchestrator.store.postgres_store import PostgresStore
from tests.support.builders import FakeClock, numbered
from tests.support.old_jobs import ACT, DAY_S, DAYS, Bytes, retention, run_job, video


@pytest.fixture
def stored(tmp_path: Path) -> Bytes:
    return Bytes(tmp_path)


@pytest.fixture
async def clock(stored: Bytes) -> FakeClock:
    """Begins at the time of the file system, which says how old blobs are."""
    await stored.put("checks/time", age_s=0)
    return FakeClock((await stored.blobs.stored("checks/", after="", limit=1))[0].write_time)


async def remove(store: PostgresStore, stored: Bytes, clock: FakeClock) -> list[str]:
    """Runs a round of this kind; returns the keys that it leaves."""
    removing = retention(store, stored.blobs, clock)
    due = (await removing.due())[Kind.CHECKPOINTS]
    assert (await removing.run(Kind.CHECKPOINTS, 100)).removed == due.count
    return [left.key for left in await stored.blobs.stored(CHECKPOINTS, after="", limit=100)]


async def test_checkpoints_of_ended_and_removed_jobs_go_and_those_of_others_stay(
    store: PostgresStore, clock: FakeClock, stored: Bytes
) -> None:
    running = await run_job(store, clock, stored, numbered(1), state=State.RUNNING)
    ended = await run_job(store, clock, stored, numbered(2))
    held = await run_job(store, clock, stored, numbered(3, tenant="story"))
    await store.legal_holds.set("story", "a lawsuit", ACT)
    removed = "f" * 32
    for job_id in (running.id, ended.id, held.id, removed):
        await stored.put(checkpoint_key(job_id, 0), age_s=3 * DAY_S)
        await stored.put(checkpoint_key(job_id, 7), age_s=3 * DAY_S)  # a gap hides it from the end of a job
    kept = [checkpoint_key(job_id, index) for job_id in (running.id, held.id) for index in (0, 7)]
    assert await remove(store, stored, clock) == kept


async def test_checkpoints_stay_until_they_are_old_enough(
    store: PostgresStore, clock: FakeClock, stored: Bytes
) -> None:
    key = checkpoint_key("f" * 32, 0)
    await stored.put(key, age_s=2 * DAY_S - 60)
    assert await remove(store, stored, clock) == [key]
    clock.time += timedelta(seconds=120)
    assert await remove(store, stored, clock) == []


async def test_checkpoints_may_be_kept_without_a_limit_of_time(
    store: PostgresStore, clock: FakeClock, stored: Bytes
) -> None:
    await stored.put(checkpoint_key("f" * 32, 0), age_s=1000 * DAY_S)
    removing = retention(store, stored.blobs, clock, ages=Ages(DAYS | {Kind.CHECKPOINTS: 0}))
    assert not await removing.round()
    assert await stored.has(checkpoint_key("f" * 32, 0))
    assert (await removing.due())[Kind.CHECKPOINTS].count == 0


async def test_signed_files_that_no_asset_names_go_with_their_note_and_others_stay(
    store: PostgresStore, clock: FakeClock, stored: Bytes
) -> None:
    ours = Identity("i2v", "7", "c" * 64, True)
    recorded, lost = (SignedOutput("studio", each * 64, 4, "d" * 64, ours) for each in "ab")
    ended = await run_job(store, clock, stored, numbered(2))
    asset = replace(video(ended, "signed", clock.now()), sha256=recorded.sha256)
    async with store.database.writing() as connection:
        await stored_bytes.note(connection, asset)
    for signed in (recorded, lost):
        await stored.put(signed.key)
    await stored.put(note_key(ended.id), age_s=3 * DAY_S, data=to_bytes([recorded, lost]))
    assert await remove(store, stored, clock) == []
    assert (await stored.has(recorded.key), await stored.has(lost.key)) == (True, False)
