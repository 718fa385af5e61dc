"""Lists of the library, and changes of its entries, in PostgreSQL."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest
import sqlalchemy as sa

from services.errors import Conflict, NotFound, PreconditionFailed
from services.orchestrator.domain import library_filter
from services.orchestrator.domain.asset import Asset
from services.orchestrator.domain.library_details import Details
from services.orchestrator.domain.library_list import LibraryList, Order, OrderKey, Place
from services.orchestrator.domain.media_info import AudioInfo, PictureInfo
from services.orchestrator.store.library import PostgresLibrary
from services.orchestrator.store.postgres_store import PostgresStore
from services.reasons import LibraryReason
from tests.support.builders import NOON, a_caller

MINE = LibraryList(tenant="studio", user="ann")
TITLES = ("A cat", "Кошка", "猫", "قطة", "חתול", "Ein Hund")


async def fill(store: PostgresStore, titles: Sequence[str] = TITLES, first: int = 0) -> None:
    """Uploads a picture for each title; every second one is tagged, and sizes and times rise."""
    for number, title in enumerate(titles, first):
        picture = Asset(
            "studio",
            "ann",
            f"{number:064x}",
            10 + number // 2,
            PictureInfo("image/png", 64, 64),
            NOON + timedelta(seconds=number),
        )
        tags = ("even", 'a"b') if number % 2 == 0 else ()
        await store.assets.put(picture, a_caller(), Details(title, tags=tags, source_module="story_writer"))


async def titles(store: PostgresStore, which: LibraryList) -> list[str]:
    return [entry.details.title for _, entry, _ in await store.library.page(which, None, 100)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", TITLES),
        ("type = image AND tags:even", TITLES[::2]),
        ("NOT tags:even", TITLES[1::2]),
        ("tags != even", TITLES[1::2]),
        ('tags:"a\\"b"', TITLES[::2]),
        ("size_bytes >= 12", TITLES[4:]),
        ("seed = 1", ()),
        ("seed != 1", TITLES),
        ("NOT seed > 1", TITLES),
        ("job = jobs/none", ()),
        ("NOT job = jobs/none", TITLES),
        ("duration < 5s", ()),
        ('source_module = "x\'; DROP TABLE library_entries; --"', ()),
        ("create_time > 2000-01-01 AND favorite = false AND rating = 0 AND cost = 0", TITLES),
        ("type = video OR tags:even", TITLES[::2]),
    ],
)
async def test_a_filter_finds_what_it_says(store: PostgresStore, text: str, expected: tuple[str, ...]) -> None:
    await fill(store)
    which = replace(MINE, filter=library_filter.parse(text), order=Order(OrderKey.CREATE_TIME, False))
    assert await titles(store, which) == list(expected)


@pytest.mark.parametrize("title", TITLES)
async def test_a_word_in_any_script_is_found(store: PostgresStore, title: str) -> None:
    await fill(store)
    assert await titles(store, replace(MINE, words=title.upper())) == [title]


@pytest.mark.parametrize("user", ["o'neil \\ 'x'", "ann:*", "a & !b", "Ann", "ñ 猫"])
async def test_a_search_finds_the_entries_of_a_user_of_any_name(store: PostgresStore, user: str) -> None:
    await fill(store)
    picture = Asset("studio", user, "f" * 64, 10, PictureInfo("image/png", 64, 64), NOON)
    await store.assets.put(picture, replace(a_caller(), user=user), Details("A cat of mine"))
    assert await titles(store, replace(MINE, user=user, words="cat")) == ["A cat of mine"]
    assert await titles(store, replace(MINE, user=user, words=user)) == []


@pytest.mark.parametrize("words", ["!!!", "''", "studio", "ann", '" studio ann"', "-cat -dog"])
async def test_words_that_no_entry_has_find_what_they_should(store: PostgresStore, words: str) -> None:
    await fill(store)
    expected = [title for title in reversed(TITLES) if title != "A cat"] if words.startswith("-") else []
    assert await titles(store, replace(MINE, words=words)) == expected


@pytest.mark.parametrize("descending", [True, False])
@pytest.mark.parametrize("key", OrderKey)
async def test_pages_in_every_order_have_each_entry_once_while_others_are_added(
    store: PostgresStore, key: OrderKey, descending: bool
) -> None:
    await fill(store, [f"cat {number % 3}" for number in range(10)])
    words = "cat" if key is OrderKey.RELEVANCE else ""
    which = replace(MINE, order=Order(key, descending), words=words)
    seen: list[str] = []
    after: Place | None = None
    for number in range(20):
        found = await store.library.page(which, after, 3)
        if not found:
            break
        seen += [entry.sha256 for _, entry, _ in found]
        after = found[-1][2]
        if number < 3:
            await fill(store, ["cat new"], first=100 + number)
    assert len(set(seen)) == len(seen)
    assert {f"{number:064x}" for number in range(10)} <= set(seen)


async def test_a_title_is_sorted_without_regard_to_case(store: PostgresStore) -> None:
    await fill(store, ["b", "A", "C" * 500])
    found = await titles(store, replace(MINE, order=Order(OrderKey.TITLE, False)))
    assert all(first.lower() <= second.lower() for first, second in pairwise(found))


async def test_a_list_has_nothing_of_others_and_nothing_deleted(store: PostgresStore) -> None:
    await fill(store)
    async with store.database.writing() as connection:
        await connection.execute(sa.text("UPDATE library_entries SET delete_time = now() WHERE title = 'A cat'"))
    assert len(await titles(store, MINE)) == 5
    assert len(await titles(store, replace(MINE, deleted=True))) == 6
    assert await titles(store, replace(MINE, user="bob")) == await titles(store, replace(MINE, tenant="other")) == []


async def test_what_looks_alike_differs_in_few_bits(store: PostgresStore) -> None:
    await fill(store, ["same", "near", "far", "none"])
    async with store.database.writing() as connection:
        for title, value in (("same", -1), ("near", -8), ("far", 0)):
            update = sa.text("UPDATE library_entries SET phash = :value WHERE title = :title")
            await connection.execute(update, {"value": value, "title": title})
    assert await store.library.perceptual_hash("0" * 64, tenant="studio", user="ann") == -1
    for most, expected in ((0, {"same"}), (3, {"same", "near"}), (64, {"same", "near", "far"})):
        assert set(await titles(store, replace(MINE, similar_to=-1, distance_most=most))) == expected
    with pytest.raises(NotFound):
        await store.library.perceptual_hash("0" * 64, tenant="studio", user="bob")


async def test_the_second_of_two_editors_is_refused(store: PostgresStore) -> None:
    await fill(store)
    key = {"tenant": "studio", "user": "ann"}
    changed = await store.library.change("0" * 64, {"title": "Mine", "tags": ("x",)}, **key, revision=1)
    assert (changed.details.title, changed.details.tags, changed.revision) == ("Mine", ("x",), 2)
    with pytest.raises(Conflict) as caught:
        await store.library.change("0" * 64, {"title": "Yours"}, **key, revision=1)
    assert caught.value.metadata == {"etag": "2"}
    unconditional = await store.library.change("0" * 64, {"custom": {"a": 1}, "rating": 5, "favorite": True}, **key)
    assert (unconditional.details.title, unconditional.rating, unconditional.favorite) == ("Mine", 5, True)
    assert unconditional.details.custom == {"a": 1} and unconditional.update_time > unconditional.create_time


async def test_a_sound_is_found_by_its_length(store: PostgresStore) -> None:
    sound = Asset("studio", "ann", "f" * 64, 10, AudioInfo("audio/mpeg", 2.5, 44100, 2), NOON)
    await store.assets.put(sound, a_caller(), Details("Steps"))
    for text, expected in (("duration = 2.5s", ["Steps"]), ("duration > 2.5", []), ("kind = AUDIO", ["Steps"])):
        assert await titles(store, replace(MINE, filter=library_filter.parse(text))) == expected


@pytest.mark.parametrize(
    "which",
    [
        replace(MINE, words="cat", order=Order(OrderKey.RELEVANCE)),
        replace(MINE, similar_to=7, distance_most=10),
        replace(MINE, filter=library_filter.parse("rating = 5")),
    ],
    ids=["relevance", "similar", "filter"],
)
async def test_a_search_that_reads_for_too_long_is_refused_and_leaves_the_connection_usable(
    store: PostgresStore, which: LibraryList
) -> None:
    await fill(store)
    library = PostgresLibrary(store.database, search_s=0.05)
    async with store.database.writing() as connection:
        await connection.execute(sa.text("LOCK TABLE library_entries IN ACCESS EXCLUSIVE MODE"))  # as slow as can be
        for search in (library.page(which, None, 3), library.statistics(which)):
            with pytest.raises(PreconditionFailed, match=r"more than 0\.05 s") as refused:
                await search
            assert refused.value.reason is LibraryReason.SEARCH_TOO_LARGE
    assert [entry.details.title for _, entry, _ in await library.page(MINE, None, 100)] == list(reversed(TITLES))
    await library.page(which, None, 3)
