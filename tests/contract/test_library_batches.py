"""Changes of several entries of the library at once, in PostgreSQL."""

from dataclasses import replace

import pytest
import sqlalchemy as sa

from services.errors import InvalidInput, NotFound, PreconditionFailed
from services.orchestrator.domain import library_filter
from services.orchestrator.domain.asset import Asset
from services.orchestrator.domain.library_batch import BatchChange, BatchCount, Selection
from services.orchestrator.domain.library_details import Details
from services.orchestrator.domain.library_entry import LibraryEntry
from services.orchestrator.domain.media_info import PictureInfo
from services.orchestrator.store.library import PostgresLibrary
from services.orchestrator.store.postgres_store import PostgresStore
from services.reasons import LibraryReason
from tests.support.builders import NOON, a_caller

ALL = Selection(tenant="studio", user="ann", filter=library_filter.parse("type = image"))
NAMES = tuple(f"{number:064x}" for number in range(3))
NAMED = Selection(tenant="studio", user="ann", names=NAMES)

MORE_ASSETS = """
INSERT INTO assets SELECT (jsonb_populate_record(assets, jsonb_build_object('sha256', lpad(number::text, 64, 'f')))).*
FROM assets, generate_series(1, 1000) AS number
"""
MORE_ENTRIES = """
INSERT INTO library_entries (tenant, "user", sha256, kind, size_bytes, create_time, update_time)
SELECT tenant, "user", sha256, 'image', size_bytes, create_time, create_time FROM assets ON CONFLICT DO NOTHING
"""


async def fill(store: PostgresStore, *tags: tuple[str, ...], user: str = "ann") -> None:
    """Uploads a picture with each of these tags."""
    for number, each in enumerate(tags):
        picture = Asset("studio", user, f"{number:064x}", 10, PictureInfo("image/png", 64, 64), NOON)
        await store.assets.put(picture, replace(a_caller(), user=user), Details(tags=each))


async def entries(store: PostgresStore, user: str = "ann") -> list[LibraryEntry]:
    found = [await store.library.find(name, tenant="studio", user=user) for name in NAMES]
    return [entry for entry in found if entry is not None]


async def tags(store: PostgresStore, user: str = "ann") -> list[tuple[str, ...]]:
    return [entry.details.tags for entry in await entries(store, user)]


@pytest.mark.parametrize("which", [ALL, NAMED])
async def test_tags_are_added_and_removed_and_what_is_so_already_keeps_its_revision(
    store: PostgresStore, which: Selection
) -> None:
    await fill(store, ("old",), ("b", "a"), ())
    await fill(store, ("old",), user="bob")
    change = BatchChange(add_tags=("a", "b"), remove_tags=("old",))
    assert await store.library.change_all(which, replace(change, dry_run=True)) == BatchCount(3, 2)
    assert await tags(store) == [("old",), ("b", "a"), ()]
    assert await store.library.change_all(which, change) == BatchCount(3, 2)
    assert await tags(store) == [("a", "b"), ("b", "a"), ("a", "b")]
    assert [entry.revision for entry in await entries(store)] == [2, 1, 2]
    assert await tags(store, "bob") == [("old",)]
    assert await store.library.change_all(which, change) == BatchCount(3, 0)


async def test_values_are_set_and_those_that_are_not_given_stay(store: PostgresStore) -> None:
    await fill(store, ("a",), (), ())
    await store.library.change_all(ALL, BatchChange(favorite=True, rating=4))
    await store.library.change_all(ALL, BatchChange(source_module="story_writer"))
    assert [(each.favorite, each.rating, each.details.source_module) for each in await entries(store)] == [
        (True, 4, "story_writer")
    ] * 3
    assert await tags(store) == [("a",), (), ()]


async def test_nothing_is_changed_when_one_is_missing_or_in_the_trash_or_would_have_too_many_tags(
    store: PostgresStore,
) -> None:
    await fill(store, (), tuple(f"tag {number}" for number in range(50)), ())
    with pytest.raises(InvalidInput) as full:
        await store.library.change_all(ALL, BatchChange(add_tags=("new",)))
    assert full.value.reason == LibraryReason.TAGS_TOO_MANY
    async with store.database.writing() as connection:
        trash = sa.text("UPDATE library_entries SET delete_time = now() WHERE sha256 = :name")
        await connection.execute(trash, {"name": NAMES[1]})
    with pytest.raises(NotFound):
        await store.library.change_all(NAMED, BatchChange(favorite=True))
    assert [(each.favorite, each.revision) for each in await entries(store)] == [(False, 1)] * 3
    assert await store.library.selected(ALL) == [NAMES[0], NAMES[2]]


async def test_more_than_a_thousand_are_refused_and_a_thousand_are_changed(store: PostgresStore) -> None:
    await fill(store, ())
    async with store.database.writing() as connection:
        await connection.execute(sa.text(MORE_ASSETS))
        await connection.execute(sa.text(MORE_ENTRIES))
    change = BatchChange(favorite=True)
    for refused in (store.library.change_all(ALL, change), store.library.selected(ALL)):
        with pytest.raises(PreconditionFailed) as caught:
            await refused
        assert caught.value.reason == LibraryReason.SELECTION_TOO_LARGE
    assert not (await entries(store))[0].favorite
    thousand = replace(ALL, filter=library_filter.parse("favorite = false AND rating = 0 AND NOT tags:first"))
    await store.library.change(NAMES[0], {"tags": ("first",)}, tenant="studio", user="ann")
    assert await store.library.change_all(thousand, change) == BatchCount(1000, 1000)


@pytest.mark.parametrize("dry_run", [True, False])
async def test_a_filter_that_reads_for_too_long_is_refused_and_changes_nothing(
    store: PostgresStore, dry_run: bool
) -> None:
    await fill(store, ("a",), (), ())
    library = PostgresLibrary(store.database, search_s=0.05)
    change = BatchChange(add_tags=("b",), dry_run=dry_run)
    async with store.database.writing() as connection:
        await connection.execute(sa.text("LOCK TABLE library_entries IN ACCESS EXCLUSIVE MODE"))  # as slow as can be
        for call in (library.change_all(ALL, change), library.selected(ALL)):
            with pytest.raises(PreconditionFailed, match=r"more than 0\.05 s.*Nothing was changed") as refused:
                await call
            assert refused.value.reason is LibraryReason.SEARCH_TOO_LARGE
    assert await tags(store) == [("a",), (), ()]
    assert (await library.change_all(ALL, change)).selected == 3


async def test_an_update_that_takes_too_long_is_refused_as_a_whole(store: PostgresStore) -> None:
    await fill(store, ("a",), (), ())
    library = PostgresLibrary(store.database, search_s=0.05)
    async with store.database.writing() as connection:
        await connection.execute(
            sa.text("SELECT FROM library_entries WHERE sha256 = :one FOR UPDATE"), {"one": NAMES[2]}
        )
        with pytest.raises(PreconditionFailed) as refused:
            await library.change_all(ALL, BatchChange(add_tags=("b",)))
        assert refused.value.reason is LibraryReason.SEARCH_TOO_LARGE
    assert await tags(store) == [("a",), (), ()]
