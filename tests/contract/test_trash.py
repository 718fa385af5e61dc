"""The trash: what is deleted cannot be read, what is restored can, and deleted for good gives its bytes back."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from services.errors import Conflict, NotFound, PreconditionFailed, Unavailable
from services.orchestrator.domain.job import State
from services.orchestrator.domain.keep_rules import KEEP_ALL, KeepRules
from services.orchestrator.domain.library_entry import EntryKey, Kind
from services.orchestrator.domain.spec import ImageToVideo
from services.orchestrator.retention.old_library import OldLibrary
from services.orchestrator.retention.old_trash import OldTrashItems
from services.orchestrator.store.postgres_store import PostgresStore
from services.reasons import LibraryReason
from tests.contract.test_stored_bytes import used
from tests.support.builders import FakeClock, a_caller, a_job, numbered
from tests.support.old_jobs import ACT, Bytes, digest, run_job
from tests.support.trash_rounds import GRACE, TrashRig


@pytest.fixture
def rig(store: PostgresStore, clock: FakeClock, tmp_path: Path) -> TrashRig:
    return TrashRig(store, Bytes(tmp_path), clock, tmp_path)


async def test_what_is_in_the_trash_cannot_be_read_until_it_is_restored(rig: TrashRig) -> None:
    key = await rig.upload("cat")
    entry = await rig.store.trash.put(key, rig.clock.now())
    assert (entry.delete_time, entry.revision) == (rig.clock.now(), 2)
    assert not await rig.readable(key)
    assert await rig.store.trash.put(key, rig.clock.now() + GRACE) == entry, "a repetition changes nothing"
    assert await used(rig.store) == (4, 4)
    restored = await rig.store.trash.restore(key, rig.clock.now())
    assert (restored.delete_time, restored.revision) == (None, 3)
    assert await rig.readable(key)


async def test_an_upload_of_the_same_bytes_brings_an_asset_back(rig: TrashRig) -> None:
    key = await rig.upload("cat")
    await rig.store.trash.put(key, rig.clock.now())
    await rig.upload("cat")
    assert await rig.readable(key)
    assert await used(rig.store) == (4, 4)


async def test_deleted_for_good_gives_the_bytes_back_and_the_collector_removes_them_after_a_day(rig: TrashRig) -> None:
    key = await rig.upload("cat")
    assert await rig.store.trash.purge(key, rig.clock.now()) == 4
    assert await used(rig.store) == (0, 0)
    assert await rig.store.counter_audits.full(limit=9) == []
    assert not await rig.readable(key)
    await rig.collect()
    assert await rig.has_bytes(key), "another upload may be about to record them"
    rig.clock.time += GRACE + timedelta(seconds=1)
    await rig.collect()
    assert not await rig.has_bytes(key)
    assert (await rig.store.blob_removals.due(rig.clock.now())).count == 0


async def test_bytes_stay_while_another_user_of_the_tenant_has_them_or_they_come_again(rig: TrashRig) -> None:
    shared, again = await rig.upload("cat"), await rig.upload("dog")
    await rig.upload("cat", "ben")
    for key in (shared, again):
        await rig.store.trash.purge(key, rig.clock.now())
    rig.clock.time += GRACE * 2
    await rig.upload("dog")
    await rig.collect()
    assert await rig.readable(again)
    assert await rig.readable(replace(shared, user="ben"))


async def test_bytes_that_are_being_removed_are_stored_again_only_after_that(rig: TrashRig) -> None:
    key = await rig.upload("cat")
    await rig.store.trash.purge(key, rig.clock.now())
    begun = await rig.store.blob_removals.begin(rig.clock.now() + GRACE, limit=9)
    with pytest.raises(Unavailable) as refused:
        await rig.upload("cat")
    assert refused.value.reason == LibraryReason.BYTES_BEING_REMOVED
    with pytest.raises(Unavailable):  # the database itself refuses the record
        await rig.store.assets.put(rig.video("cat"), a_caller())
    await rig.collect()  # another process continues
    await rig.store.blob_removals.end(begun[0])
    await rig.upload("cat")
    assert await rig.readable(key)


async def test_the_fragments_of_a_job_are_hidden_restored_and_deleted_with_its_video(rig: TrashRig) -> None:
    await run_job(rig.store, rig.clock, rig.stored, a_job(), fragments=["one", "two"])
    await rig.upload("two")  # has an entry of its own
    video, one, two = (EntryKey("studio", "ann", digest(name)) for name in ("video", "one", "two"))
    await rig.store.trash.put(video, rig.clock.now())
    assert [await rig.readable(key) for key in (video, one, two)] == [False, False, True]
    await rig.store.trash.restore(video, rig.clock.now())
    assert [await rig.readable(key) for key in (video, one, two)] == [True, True, True]
    await rig.store.trash.purge(video, rig.clock.now())
    rig.clock.time += GRACE * 2
    await rig.collect()
    assert [await rig.has_bytes(key) for key in (video, one, two)] == [False, False, True]
    assert await rig.store.counter_audits.full(limit=9) == []


async def test_a_fragment_that_two_videos_share_goes_with_the_second(rig: TrashRig) -> None:
    await run_job(rig.store, rig.clock, rig.stored, numbered(1), fragments=["one"], output="v1")
    await run_job(rig.store, rig.clock, rig.stored, numbered(2), fragments=["one"], output="v2")
    first, second, one = (EntryKey("studio", "ann", digest(name)) for name in ("v1", "v2", "one"))
    await rig.store.trash.purge(first, rig.clock.now())
    assert await rig.readable(one)
    await rig.store.trash.put(second, rig.clock.now())
    assert not await rig.readable(one)
    await rig.store.trash.purge(second, rig.clock.now())
    rig.clock.time += GRACE * 2
    await rig.collect()
    assert not await rig.has_bytes(one)


async def test_a_job_that_makes_the_same_video_brings_it_back(rig: TrashRig) -> None:
    video = EntryKey("studio", "ann", digest("video"))
    for number in (1, 2):
        await run_job(rig.store, rig.clock, rig.stored, numbered(number), fragments=["one"])
        assert await rig.readable(video)
        await rig.store.trash.put(video, rig.clock.now())
        assert not await rig.readable(video)


async def test_an_unfinished_job_keeps_its_picture_in_the_trash_and_reads_it(rig: TrashRig) -> None:
    key = await rig.upload("cat")
    job = a_job(spec=replace(a_job().spec, operation=ImageToVideo(image=key.sha256, prompt="a cat")))
    await run_job(rig.store, rig.clock, rig.stored, job, state=State.RUNNING)
    with pytest.raises(PreconditionFailed) as refused:
        await rig.store.trash.purge(key, rig.clock.now())
    assert refused.value.reason == LibraryReason.ASSET_IN_USE
    await rig.store.trash.put(key, rig.clock.now())
    assert await rig.store.assets.get(key.sha256, tenant="studio", user="ann", also_hidden=True)
    rig.clock.time += GRACE * 40
    assert (await rig.store.old_trash.due({}, 30, rig.clock.now())).count == 0, "the purge waits"
    [item] = await rig.store.trash.items("studio", "ann", limit=9)
    assert item.in_use


async def test_a_legal_hold_keeps_everything(rig: TrashRig) -> None:
    key = await rig.upload("cat")
    await rig.store.legal_holds.set("studio", "a lawsuit", ACT)
    with pytest.raises(PreconditionFailed) as refused:
        await rig.store.trash.purge(key, rig.clock.now())
    assert refused.value.reason == LibraryReason.ASSET_ON_HOLD
    await rig.store.trash.put(key, rig.clock.now())
    rig.clock.time += GRACE * 40
    assert (await rig.store.old_trash.due({}, 30, rig.clock.now())).count == 0


async def test_an_old_etag_is_refused_and_of_two_editors_one_wins(rig: TrashRig) -> None:
    key = await rig.upload("cat")
    await rig.store.trash.put(key, rig.clock.now(), etag="1")
    for change in (rig.store.trash.put, rig.store.trash.purge):
        with pytest.raises(Conflict) as refused:
            await change(key, rig.clock.now(), etag="1")
        assert refused.value.reason == LibraryReason.ETAG_OUTDATED


async def test_a_fragment_with_an_entry_in_the_trash_is_hidden_when_its_video_is_purged(rig: TrashRig) -> None:
    part = await rig.upload("a")
    await rig.store.trash.put(part, rig.clock.now())
    await run_job(rig.store, rig.clock, rig.stored, a_job(), fragments=["a"], output="video")
    await rig.store.trash.purge(EntryKey("studio", "ann", digest("video")), rig.clock.now())
    assert not await rig.readable(part)
    await rig.store.trash.restore(part, rig.clock.now())
    assert await rig.readable(part)


async def test_a_hidden_fragment_can_be_uploaded(rig: TrashRig) -> None:
    await run_job(rig.store, rig.clock, rig.stored, a_job(), fragments=["a"], output="video")
    await rig.store.trash.put(EntryKey("studio", "ann", digest("video")), rig.clock.now())
    assert await rig.readable(await rig.upload("a"))


async def test_what_is_not_there_cannot_be_deleted_or_restored(rig: TrashRig) -> None:
    await rig.upload("cat")
    other = EntryKey("studio", "ben", digest("cat"))
    for change in (rig.store.trash.put, rig.store.trash.restore, rig.store.trash.purge):
        with pytest.raises(NotFound):
            await change(other, rig.clock.now())


@pytest.mark.parametrize(
    ("rules", "default_days", "age_days", "gone"),
    [
        (KEEP_ALL, 30, 29, False),
        (KEEP_ALL, 30, 31, True),
        (KEEP_ALL, 0, 4000, False),
        (KeepRules(trash_days=7), 30, 8, True),
        (KeepRules(trash_days=60), 30, 31, False),
        (KeepRules(trash_days=7), 0, 8, True),
    ],
)
async def test_the_trash_is_emptied_after_the_days_of_the_plan_else_of_the_setting(
    rig: TrashRig, rules: KeepRules, default_days: int, age_days: int, gone: bool
) -> None:
    key = await rig.upload("cat")
    await rig.store.trash.put(key, rig.clock.now())
    rig.clock.time += timedelta(days=age_days)
    removal = OldTrashItems(rig.store.old_trash, rig.store.trash, lambda: {"test": rules}, default_days)
    assert (await removal.due(rig.clock.now())).count == gone
    assert sum([count async for count in removal.batches(rig.clock.now())]) == gone
    assert (await rig.store.library.find(key.sha256, tenant="studio", user="ann") is None) == gone


async def test_a_plan_moves_what_is_old_to_the_trash_by_type(rig: TrashRig) -> None:
    key = await rig.upload("cat")
    rig.clock.time += timedelta(days=10)
    for days, moved in (({Kind.IMAGE: 5}, 0), ({Kind.VIDEO: 11}, 0), ({Kind.VIDEO: 5}, 1)):
        removal = OldLibrary(rig.store.old_trash, lambda days=days: {"test": KeepRules(days), "other": KEEP_ALL})
        assert (await removal.due(rig.clock.now())).count == moved
        assert sum([count async for count in removal.batches(rig.clock.now())]) == moved
        assert await rig.readable(key) != bool(moved)
