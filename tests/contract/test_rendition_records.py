"""Rows of renditions: one maker at a time, failures that are remembered, and nothing for what was removed."""

import asyncio

import pytest
import sqlalchemy as sa

from services.orchestrator.domain.asset import Asset
from services.orchestrator.domain.media_info import PictureInfo
from services.orchestrator.domain.rendition import THUMBNAILS, Rendition, Variant
from services.orchestrator.ports.renditions import NotMade
from services.orchestrator.store.postgres_store import PostgresStore
from services.orchestrator.store.renditions import CLAIM_S, FAILED_S, PostgresRenditions
from tests.support.builders import NOON, a_caller

PICTURE = Asset("studio", "ann", "a" * 64, 10, PictureInfo("image/png", 64, 64), NOON)
VARIANTS = tuple(THUMBNAILS)
SMALL = Variant.THUMBNAIL_128
MADE = tuple(Rendition(variant, "image/webp", 100, side, side) for variant, side in THUMBNAILS.items())


@pytest.fixture
async def renditions(store: PostgresStore) -> PostgresRenditions:
    await store.assets.put(PICTURE, a_caller())
    return store.renditions


async def claimed(renditions: PostgresRenditions) -> str:
    claim = await renditions.claim(PICTURE, VARIANTS)
    assert claim is not None
    return claim


async def test_of_many_that_want_to_make_a_rendition_one_may(renditions: PostgresRenditions) -> None:
    claims = await asyncio.gather(*(renditions.claim(PICTURE, VARIANTS) for _ in range(8)))
    assert len([claim for claim in claims if claim is not None]) == 1


async def test_what_was_made_is_found_and_not_claimed_again(renditions: PostgresRenditions) -> None:
    claim = await claimed(renditions)
    assert await renditions.find("studio", PICTURE.sha256, SMALL) is None
    assert await renditions.finish(claim, MADE, 7)
    assert await renditions.find("studio", PICTURE.sha256, SMALL) == MADE[0]
    assert await renditions.find("story", PICTURE.sha256, SMALL) is None
    assert await renditions.claim(PICTURE, VARIANTS) is None


async def test_a_hash_is_written_to_entries_that_have_none(
    renditions: PostgresRenditions, store: PostgresStore
) -> None:
    await store.assets.put(
        Asset("studio", "bob", "a" * 64, 10, PictureInfo("image/png", 64, 64, phash=-5), NOON), a_caller(user="bob")
    )
    assert await renditions.finish(await claimed(renditions), MADE, 7)
    async with store.database.reading() as connection:
        rows = await connection.execute(sa.text('SELECT "user", phash, revision FROM library_entries ORDER BY "user"'))
        assert [tuple(row) for row in rows] == [("ann", 7, 1), ("bob", -5, 1)]


async def age(store: PostgresStore, seconds: float) -> None:
    """Lets time pass for all rows."""
    older = sa.text("UPDATE renditions SET create_time = create_time - make_interval(secs => :seconds)")
    async with store.database.reading() as connection:
        await connection.execute(older, {"seconds": seconds})


async def test_a_claim_that_is_not_renewed_is_free(renditions: PostgresRenditions, store: PostgresStore) -> None:
    first = await claimed(renditions)
    for _ in range(3):
        await age(store, 0.7 * CLAIM_S)
        assert await renditions.claim(PICTURE, VARIANTS) is None
        assert await renditions.renew(first)
    await age(store, CLAIM_S)
    second = await claimed(renditions)
    assert not await renditions.renew(first)
    assert not await renditions.finish(first, MADE, 7)
    assert await renditions.finish(second, MADE, 7)


async def test_a_claim_that_is_given_back_is_free_immediately(renditions: PostgresRenditions) -> None:
    await renditions.release(await claimed(renditions))
    assert await renditions.claim(PICTURE, VARIANTS) is not None


async def test_a_failure_is_remembered_for_a_while(renditions: PostgresRenditions, store: PostgresStore) -> None:
    await renditions.fail(await claimed(renditions), "its data cannot be decoded")
    await age(store, 0.9 * FAILED_S)
    found = await renditions.find("studio", PICTURE.sha256, SMALL)
    assert isinstance(found, NotMade) and str(found) == "its data cannot be decoded"
    assert await renditions.claim(PICTURE, VARIANTS) is None
    await age(store, 0.2 * FAILED_S)
    assert await renditions.find("studio", PICTURE.sha256, SMALL) is None
    assert await renditions.claim(PICTURE, VARIANTS) is not None


async def test_nothing_is_made_of_an_asset_that_nobody_has(store: PostgresStore) -> None:
    assert await store.renditions.claim(PICTURE, VARIANTS) is None
    assert not await store.renditions.wanted("studio", PICTURE.sha256)


async def test_a_removal_ends_the_claim_of_a_maker(renditions: PostgresRenditions) -> None:
    claim = await claimed(renditions)
    assert set(await renditions.withdraw("studio", PICTURE.sha256)) == set(VARIANTS)
    assert not await renditions.finish(claim, MADE, 7)
    await renditions.forget("studio", PICTURE.sha256)
    assert await renditions.withdraw("studio", PICTURE.sha256) == ()
