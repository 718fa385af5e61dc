"""The deletion of a user: nothing of it is left, nothing of others is touched, wherever its process is killed."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from services.errors import NotFound, PreconditionFailed, RequestIdReused
from services.orchestrator.domain import next_event
from services.orchestrator.domain.collection import CollectionKey
from services.orchestrator.domain.job import State
from services.orchestrator.domain.library_entry import EntryKey
from services.orchestrator.domain.retention import Kind
from services.orchestrator.domain.usage import Owner
from services.orchestrator.domain.user_deletion import Holdings, Obstacle, UserDeletion
from services.orchestrator.domain.user_deletion import State as Progress
from services.orchestrator.ports.admissions import NewJob
from services.orchestrator.ports.credits import Booking
from services.orchestrator.retention.ledger_folding import LedgerFolding
from services.orchestrator.store.postgres_store import PostgresStore
from services.reasons import RetentionReason
from tests.support.builders import FakeClock, a_caller, admit, numbered
from tests.support.erasure_rig import Dying, ErasureRig, act_of, bytes_of, deletion_of
from tests.support.killed_steps import Killed, Steps
from tests.support.old_jobs import ACT, DAY_S, Bytes, digest, retention, run_job
from tests.support.trash_rounds import GRACE, TrashRig

USER, PROMPT = "user-7f3a@example.org", "a zebra in a canoe"
OTHER = "ben"


@pytest.fixture
def rig(store: PostgresStore, clock: FakeClock, tmp_path: Path, database: str) -> ErasureRig:
    return ErasureRig(TrashRig(store, Bytes(tmp_path), clock, tmp_path), database)


async def begin(rig: ErasureRig, user: str = USER, number: int = 1) -> UserDeletion:
    deletion = deletion_of(user, number, rig.trash.clock)
    return await rig.trash.store.user_deletions.begin(deletion, act_of(deletion))


async def now(rig: ErasureRig, deletion: UserDeletion) -> UserDeletion:
    return await rig.trash.store.user_deletions.get(deletion.tenant, deletion.id)


async def test_nothing_of_a_deleted_user_is_left_and_nothing_of_another_is_touched(rig: ErasureRig) -> None:
    store = rig.trash.store
    await rig.fill(USER, PROMPT, 1)
    await rig.fill(OTHER, "a goat", 11)
    kept = await store.user_deletions.holdings("studio", OTHER)
    had = await store.user_deletions.holdings("studio", USER)
    assert had == Holdings(entries=2, size_bytes=16, jobs=4, collections=1, shares=2, uploads=1, bookings=9)
    deletion = await begin(rig)
    await rig.erasure().round()
    erased = await now(rig, deletion)
    assert (erased.state, erased.user, erased.obstacle) == (Progress.REMOVING_BYTES, "", Obstacle.NOTHING)
    assert erased.deleted == replace(had, shares=0)
    assert await rig.found(USER) == await rig.found(PROMPT) == set()
    assert await rig.found(deletion.pseudonym) == {
        *("public.ledger_entries", "public.counters", "public.audit_log", "public.user_deletions")
    }
    assert await store.counter_audits.full(limit=9) == []
    assert (await store.counter_audits.changes(every_s=0)).differences == 0
    assert await store.user_deletions.holdings("studio", OTHER) == kept
    assert await rig.trash.readable(EntryKey("studio", OTHER, digest("cat")))
    rig.trash.clock.time += GRACE * 2
    await rig.erasure().round()
    assert (await now(rig, deletion)).state is Progress.REMOVING_BYTES, "its bytes are still there"
    await rig.trash.collect()
    await rig.erasure().round()
    assert (await now(rig, deletion)).state is Progress.DONE
    keys = await rig.keys()
    assert not {bytes_of(USER, name) for name in ("1", "2", "video")} & keys
    assert {bytes_of(OTHER, name) for name in ("1", "2", "video")} < keys
    assert await rig.trash.has_bytes(EntryKey("studio", OTHER, digest("cat"))), "it is shared with another user"
    assert len([key for key in keys if key.startswith(("uploads/", "checkpoints/"))]) == 2


async def test_a_deletion_that_is_killed_at_any_step_is_continued_to_the_same_end(rig: ErasureRig) -> None:
    store, kill_at, survived = rig.trash.store, 0, False
    while not survived:
        kill_at += 1
        user = f"person-{kill_at}"
        await rig.fill(user, PROMPT, kill_at * 1000)
        deletion, steps = await begin(rig, user, kill_at), Steps(kill_at, after=False)
        try:
            await rig.erasure(lambda port, steps=steps: Dying(port, steps.take)).round()  # type: ignore[misc]
            survived = True
        except Killed:
            assert await store.counter_audits.full(limit=9) == [], f"killed at step {kill_at}"
            await rig.erasure().round()
        assert await rig.found(user) == set(), f"killed at step {kill_at}"
        rig.trash.clock.time += GRACE * 2
        await rig.trash.collect()
        await rig.erasure().round()
        assert (await now(rig, deletion)).state is Progress.DONE
    assert kill_at > 30
    assert await rig.found(PROMPT) == set()


async def test_what_is_new_of_the_user_is_refused_until_all_is_erased_and_then_begins_empty(rig: ErasureRig) -> None:
    store, clock = rig.trash.store, rig.trash.clock
    job = await rig.fill(USER, PROMPT, 1)
    deletion = await begin(rig)

    async def all_refused() -> None:
        new = numbered(77, user=USER)
        collection = CollectionKey("studio", USER, "new")
        gift = Booking("gift", a_caller(USER), 5)
        for attempt in (
            lambda: admit(store, new),
            lambda: store.admissions.admit_all([NewJob(new, "fingerprint", "test")], a_caller(USER)),
            lambda: rig.trash.upload("dog", USER),
            lambda: rig.trash.upload("cat", USER),
            lambda: store.collections.create(collection, "New", "", clock.now()),
            lambda: store.credits.book(gift, ACT),
        ):
            with pytest.raises(PreconditionFailed) as refused:
                await attempt()  # type: ignore[operator]
            assert refused.value.reason is RetentionReason.USER_IN_DELETION
        await admit(store, numbered(78, user=OTHER))

    await all_refused()
    await rig.erasure().round()
    again = await admit(store, replace(job, state=numbered(1).state, id="f" * 32, charged_micros=None, output=None))
    assert again.id == "f" * 32, "the request_id makes a new job"
    await rig.trash.upload("cat", USER)
    assert (await store.user_deletions.holdings("studio", USER)).jobs == 1
    second = await begin(rig, USER, 2)
    assert second.pseudonym != deletion.pseudonym
    await rig.erasure().round()
    assert await rig.found(USER) == set()
    assert await store.counter_audits.full(limit=9) == []


async def test_waiting_jobs_are_cancelled_and_running_ones_asked_to_stop_before_the_rest_goes(rig: ErasureRig) -> None:
    store = rig.trash.store
    waiting, running = await admit(store, numbered(1, user=USER)), await admit(store, numbered(2, user=USER))
    await store.jobs.record(running.id, next_event.start)
    deletion = await begin(rig)
    await rig.erasure().round()
    assert (await now(rig, deletion)).obstacle is Obstacle.UNFINISHED_JOBS
    with pytest.raises(NotFound):
        await store.jobs.get(waiting.id)
    asked = await store.jobs.get(running.id)
    assert asked.state == "cancelling"
    await store.jobs.record(running.id, lambda job: next_event.stopped(job, 400))
    await rig.erasure().round()
    assert (await now(rig, deletion)).state is Progress.DONE, "there were no bytes"
    assert await store.counter_audits.full(limit=9) == []
    async with store.database.reading() as connection:
        spent = await connection.exec_driver_sql('SELECT "user", sum(spent_micros) FROM ledger_entries GROUP BY 1')
        assert [tuple(row) for row in spent] == [(deletion.pseudonym, 400)]


async def test_a_legal_hold_refuses_a_deletion_and_stops_one_that_has_begun(rig: ErasureRig) -> None:
    store = rig.trash.store
    await rig.fill(USER, PROMPT, 1)
    await store.legal_holds.set("studio", "a lawsuit", ACT)
    with pytest.raises(PreconditionFailed) as refused:
        await begin(rig)
    assert refused.value.reason is RetentionReason.LEGAL_HOLD
    assert (await store.user_deletions.holdings("studio", USER)).legal_hold
    await store.legal_holds.clear("studio", ACT)
    deletion = await begin(rig)
    assert not (await store.user_deletions.holdings("studio", USER)).legal_hold
    await store.legal_holds.set("studio", "a lawsuit", ACT)
    had = await store.user_deletions.holdings("studio", USER)
    await rig.erasure().round()
    assert (await now(rig, deletion)).obstacle is Obstacle.LEGAL_HOLD
    assert await store.user_deletions.holdings("studio", USER) == had
    assert await begin(rig) == await now(rig, deletion), "a repeat is answered all the same"
    await store.legal_holds.clear("studio", ACT)
    await rig.erasure().round()
    assert (await now(rig, deletion)).state is Progress.REMOVING_BYTES


async def test_a_repeat_returns_the_same_deletion_and_another_user_is_refused(rig: ErasureRig) -> None:
    first = await begin(rig)
    assert await begin(rig) == first
    assert await begin(rig, number=2) == first, "one of the same user is under way"
    with pytest.raises(RequestIdReused):
        await begin(rig, OTHER)
    await rig.erasure().round()
    assert (await begin(rig)).state is Progress.DONE, "nothing was there, so no bytes are"
    with pytest.raises(RequestIdReused):
        await begin(rig, OTHER)
    with pytest.raises(NotFound):
        await now(rig, replace(first, tenant="nowhere"))
    with pytest.raises(NotFound):
        deletion = deletion_of(USER, 1, rig.trash.clock, tenant="nowhere")
        await rig.trash.store.user_deletions.begin(deletion, act_of(deletion))


async def test_the_deletions_of_a_tenant_come_in_pages_the_newest_first(rig: ErasureRig) -> None:
    begun = []
    for number in range(1, 4):
        rig.trash.clock.advance(1)
        begun.append(await begin(rig, f"person-{number}", number))
    listed = rig.trash.store.user_deletions
    first = await listed.page("studio", before=None, limit=2)
    assert list(first) == begun[:0:-1]
    assert list(await listed.page("studio", before=(first[-1].create_time, first[-1].id), limit=2)) == begun[:1]
    assert list(await listed.open(after=begun[0], limit=1)) == begun[1:2]
    assert list(await listed.open(after=None, limit=10)) == begun


async def test_bookings_of_jobs_that_retention_has_removed_and_folded_get_the_pseudonym_too(rig: ErasureRig) -> None:
    store, clock, stored = rig.trash.store, rig.trash.clock, rig.trash.stored
    for number, user in enumerate((USER, USER, OTHER), start=1):
        await run_job(store, clock, stored, numbered(number, user=user))
    await store.counter_audits.changes(every_s=0)
    clock.advance(401 * DAY_S)
    await retention(store, stored.blobs, clock).run(Kind.JOBS, 100)
    await run_job(store, clock, stored, numbered(4, user=USER))
    folding = LedgerFolding(store.old_bookings, store.tenants, clock)
    before = await folding.fold("studio", "2027-02", dry_run=False)
    assert [month.balances for month in before] == [2]
    deletion = await begin(rig)
    await rig.erasure().round()
    assert (await now(rig, deletion)).deleted.bookings == 3
    assert await rig.found(USER) == set()
    assert await store.counter_audits.full(limit=9) == []
    again = await folding.fold("studio", "2027-02", dry_run=False)
    assert [month.balances for month in again] == []
    spent = await store.ledger.newest(Owner("studio", deletion.pseudonym), limit=9)
    assert sum(entry.spent_micros for entry in spent) == 3000


async def test_a_deletion_waits_for_the_worker_that_still_has_an_ended_job(rig: ErasureRig) -> None:
    store, status = rig.trash.store, "UPDATE dbos.workflow_status SET status = '{}'"
    job = await run_job(store, rig.trash.clock, rig.trash.stored, numbered(1, user=USER), state=State.FAILED)
    deletion = await begin(rig)
    async with store.database.reading() as connection:
        await connection.exec_driver_sql(status.format("PENDING"))
    await rig.erasure().round()
    assert (await now(rig, deletion)).obstacle is Obstacle.UNFINISHED_JOBS
    assert await store.jobs.get(job.id) == job
    async with store.database.reading() as connection:
        await connection.exec_driver_sql(status.format("SUCCESS"))
    await rig.erasure().round()
    assert (await now(rig, deletion)).state is Progress.DONE
    assert await rig.found(job.id) == {"public.ledger_entries"}


async def test_a_deletion_begins_after_what_is_just_being_stored_so_that_it_deletes_that_too(rig: ErasureRig) -> None:
    store, key = rig.trash.store, CollectionKey("studio", USER, "late")
    late = (
        'INSERT INTO collections (tenant, "user", id, title, create_time, update_time)'
        f" VALUES ('studio', '{USER}', 'late', 'Late', now(), now())"
    )
    async with store.database.writing() as connection:
        await connection.exec_driver_sql(late)
        beginning = asyncio.create_task(begin(rig))
        waits = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        async with store.database.reading() as other:
            while not await other.scalar(sa.text(waits)):
                assert not beginning.done()
    deletion = await beginning
    assert (await store.collections.get(key)).title == "Late"
    await rig.erasure().round()
    assert (await now(rig, deletion)).deleted.collections == 1
    with pytest.raises(NotFound):
        await store.collections.get(key)
