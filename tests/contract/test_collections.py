"""Collections of the library in PostgreSQL."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from services.errors import Conflict, NotFound, PreconditionFailed, RequestIdReused
from services.orchestrator.domain import library_filter
from services.orchestrator.domain.collection import ASSETS_MOST, COLLECTIONS_MOST, CollectionChanges, CollectionKey
from services.orchestrator.domain.library_list import LibraryList
from services.orchestrator.store.postgres_store import PostgresStore
from services.reasons import LibraryReason
from tests.support.builders import NOON, FakeClock
from tests.support.old_jobs import Bytes
from tests.support.trash_rounds import TrashRig

ROOFS = CollectionKey("studio", "ann", "roofs")
LATER = NOON + timedelta(seconds=1)


@pytest.fixture
async def rig(store: PostgresStore, clock: FakeClock, tmp_path: Path) -> TrashRig:
    await store.collections.create(ROOFS, "Roofs", "", NOON)
    return TrashRig(store, Bytes(tmp_path), clock, tmp_path)


async def listed(store: PostgresStore, text: str, user: str = "ann") -> set[str]:
    which = LibraryList(tenant="studio", user=user, filter=library_filter.parse(text))
    return {asset.sha256 for asset, _, _ in await store.library.page(which, None, 100)}


async def test_assets_are_added_once_shown_and_removed(rig: TrashRig) -> None:
    of, cat, dog = rig.store.collections, (await rig.upload("cat")).sha256, (await rig.upload("dog")).sha256
    bird = (await rig.upload("bird")).sha256
    assert await of.add(ROOFS, [cat, "0" * 64], NOON) == (1, ["0" * 64])
    assert await of.add(ROOFS, [cat, dog], LATER) == (1, [])
    found = await of.get(ROOFS)
    assert (found.asset_count, found.cover, found.update_time, found.revision) == (2, dog, LATER, 1)
    assert await listed(rig.store, "collection = collections/roofs") == {cat, dog}
    assert await listed(rig.store, "NOT collection = roofs") == await listed(rig.store, "collection != roofs") == {bird}
    assert await of.remove(ROOFS, [cat, bird], LATER) == 1
    assert await listed(rig.store, "collection = roofs") == {dog}
    assert await of.delete(ROOFS) == replace(found, asset_count=1)
    assert await listed(rig.store, "") == {cat, dog, bird}, "no asset is deleted"
    assert await listed(rig.store, "collection = roofs") == set()


async def test_a_cover_is_one_of_the_assets_and_goes_with_it(rig: TrashRig) -> None:
    of, cat, dog = rig.store.collections, await rig.upload("cat"), await rig.upload("dog")
    await of.add(ROOFS, [cat.sha256], NOON)
    with pytest.raises(NotFound):
        await of.change(ROOFS, CollectionChanges(title="Lost", cover=dog.sha256), LATER)
    assert ((await of.get(ROOFS)).title, (await of.get(ROOFS)).revision) == ("Roofs", 1)
    await of.add(ROOFS, [dog.sha256], LATER)
    assert (await of.change(ROOFS, CollectionChanges(cover=cat.sha256), LATER)).cover == cat.sha256
    assert (await of.change(ROOFS, CollectionChanges(cover=""), LATER)).cover == dog.sha256
    await of.change(ROOFS, CollectionChanges(cover=cat.sha256), LATER)
    await rig.store.trash.put(cat, LATER)
    assert (await of.get(ROOFS)).cover == dog.sha256
    await of.remove(ROOFS, [dog.sha256], LATER)
    assert (await of.get(ROOFS)).cover == ""


async def test_an_asset_in_the_trash_is_not_shown_and_one_deleted_for_good_has_left(rig: TrashRig) -> None:
    of, cat = rig.store.collections, await rig.upload("cat")
    await of.add(ROOFS, [cat.sha256], NOON)
    await rig.store.trash.put(cat, NOON)
    assert (await of.get(ROOFS)).asset_count == 0
    assert await listed(rig.store, "collection = roofs") == set()
    assert await of.add(ROOFS, [cat.sha256], NOON) == (0, [cat.sha256])
    await rig.store.trash.restore(cat, NOON)
    assert await listed(rig.store, "collection = roofs") == {cat.sha256}
    await rig.store.trash.purge(cat, NOON)
    assert (await of.get(ROOFS)).asset_count == 0
    assert (await rig.upload("cat")) == cat
    assert await listed(rig.store, "collection = roofs") == set(), "a new upload is a new entry"


async def test_of_two_editors_with_the_same_etag_one_is_refused(rig: TrashRig) -> None:
    of = rig.store.collections
    edits = (of.change(ROOFS, CollectionChanges(title=title), LATER, 1) for title in ("Ann's", "Bob's"))
    answers = await asyncio.gather(*edits, return_exceptions=True)
    [conflict] = [answer for answer in answers if isinstance(answer, BaseException)]
    assert isinstance(conflict, Conflict)
    assert (conflict.reason, conflict.metadata) == (LibraryReason.ETAG_OUTDATED, {"etag": "2"})
    with pytest.raises(Conflict):
        await of.delete(ROOFS, 1)
    assert (await of.get(ROOFS)).revision == 2


@pytest.mark.parametrize("of", [replace(ROOFS, user="bob"), replace(ROOFS, tenant="other"), replace(ROOFS, id="x")])
async def test_a_collection_of_another_user_or_tenant_is_not_found(rig: TrashRig, of: CollectionKey) -> None:
    collections, cat = rig.store.collections, (await rig.upload("cat")).sha256
    await collections.add(ROOFS, [cat], NOON)
    for call in (
        collections.get(of),
        collections.change(of, CollectionChanges(title="Mine"), NOON),
        collections.delete(of),
        collections.add(of, [cat], NOON),
        collections.remove(of, [cat], NOON),
    ):
        with pytest.raises(NotFound):
            await call
    assert (await collections.get(ROOFS)).asset_count == 1
    if of.id == ROOFS.id:
        assert not await collections.page(of.tenant, of.user, None, 9)


async def test_assets_of_another_user_are_not_added_and_equal_ids_are_apart(rig: TrashRig) -> None:
    of, bob = rig.store.collections, replace(ROOFS, user="bob")
    cat = await rig.upload("cat", "bob")
    await of.create(bob, "Bob's", "", NOON)
    assert await of.add(ROOFS, [cat.sha256], NOON) == (0, [cat.sha256])
    await of.add(bob, [cat.sha256], NOON)
    assert await listed(rig.store, "collection = roofs") == set()
    assert await listed(rig.store, "collection = roofs", "bob") == {cat.sha256}


async def test_a_repeated_create_makes_one_collection_and_other_texts_are_refused(rig: TrashRig) -> None:
    of = rig.store.collections
    again = await asyncio.gather(*(of.create(ROOFS, "Roofs", "", LATER) for _ in range(3)))
    assert again == [await of.get(ROOFS)] * 3
    with pytest.raises(RequestIdReused):
        await of.create(ROOFS, "Other", "", NOON)


async def test_the_newest_are_listed_first_page_by_page(rig: TrashRig) -> None:
    of = rig.store.collections
    for name in ("b", "c"):
        await of.create(replace(ROOFS, id=name), name, "", NOON)
    first = await of.page("studio", "ann", None, 2)
    assert [each.title for each in first] == ["c", "b"]
    assert [each.title for each in await of.page("studio", "ann", first[-1].number, 2)] == ["Roofs"]


async def test_the_numbers_of_collections_and_of_their_assets_are_bounded(rig: TrashRig) -> None:
    cat = (await rig.upload("cat")).sha256
    async with rig.store.database.writing() as connection:
        await connection.execute(
            sa.text("""
            INSERT INTO collections (tenant, "user", id, title, create_time, update_time)
            SELECT tenant, "user", copy::text, title, create_time, update_time
            FROM collections, generate_series(2, :most) AS copy
            """),
            {"most": COLLECTIONS_MOST},
        )
        await connection.execute(
            sa.text("""
            INSERT INTO assets (tenant, "user", sha256, size_bytes, media_type, width, height, create_time)
            SELECT 'studio', 'ann', lpad(number::text, 64, '0'), 1, 'image/png', 1, 1, now()
            FROM generate_series(1, :most) AS number
            """),
            {"most": ASSETS_MOST},
        )
        await connection.execute(
            sa.text("""
            INSERT INTO library_entries (tenant, "user", sha256, kind, size_bytes, create_time, update_time)
            SELECT tenant, "user", sha256, 'image', 1, now(), now() FROM assets WHERE size_bytes = 1
            """)
        )
        await connection.execute(
            sa.text("""
            INSERT INTO collection_members (collection, entry, add_time)
            SELECT collections.number, library_entries.id, now() FROM collections, library_entries
            WHERE collections.id = 'roofs' AND library_entries.size_bytes = 1
            """)
        )
    with pytest.raises(PreconditionFailed) as caught:
        await rig.store.collections.create(replace(ROOFS, id="new"), "New", "", NOON)
    assert caught.value.reason == LibraryReason.COLLECTIONS_TOO_MANY
    with pytest.raises(PreconditionFailed) as caught:
        await rig.store.collections.add(ROOFS, [cat], NOON)
    assert caught.value.reason == LibraryReason.COLLECTION_FULL
    assert (await rig.store.collections.get(ROOFS)).asset_count == ASSETS_MOST
