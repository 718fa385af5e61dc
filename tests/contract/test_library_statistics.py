"""Statistics of the library, in PostgreSQL."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from services.orchestrator.domain import library_filter
from services.orchestrator.domain.asset import Asset
from services.orchestrator.domain.library_details import Details
from services.orchestrator.domain.library_list import LibraryList
from services.orchestrator.domain.library_statistics import MODULES_MOST, LibraryGroup
from services.orchestrator.domain.media_info import AudioInfo, PictureInfo
from services.orchestrator.store.postgres_store import PostgresStore
from tests.support.builders import a_caller

MINE = LibraryList(tenant="studio", user="ann")
OCTOBER, NOVEMBER = (datetime(2026, 10, 31, 23, 59, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC))
PICTURE, SOUND = PictureInfo("image/png", 64, 64), AudioInfo("audio/mpeg", 2.5, 44100, 2)


@pytest.fixture
async def filled(store: PostgresStore) -> PostgresStore:
    for number, (user, info, module, when) in enumerate(
        (
            ("ann", PICTURE, "story_writer", OCTOBER),
            ("ann", PICTURE, "", NOVEMBER),
            ("ann", SOUND, "story_writer", NOVEMBER),
            ("bob", SOUND, "other", NOVEMBER),
        )
    ):
        asset = Asset("studio", user, f"{number:064x}", 10**number, info, when)
        await store.assets.put(asset, replace(a_caller(), user=user), Details(source_module=module))
    return store


async def change(store: PostgresStore, statement: str) -> None:
    async with store.database.writing() as connection:
        await connection.execute(sa.text(statement))


async def test_entries_are_counted_in_three_ways(filled: PostgresStore) -> None:
    await change(filled, "UPDATE library_entries SET cost_micros = 7 WHERE size_bytes >= 10")
    found = await filled.library.statistics(MINE)
    assert found.total == LibraryGroup("", 3, 111, 14)
    assert found.types == [LibraryGroup("image", 2, 11, 7), LibraryGroup("audio", 1, 100, 7)]
    assert found.source_modules == [LibraryGroup("story_writer", 2, 101, 7), LibraryGroup("", 1, 10, 7)]
    assert found.months == [LibraryGroup("2026-11", 2, 110, 14), LibraryGroup("2026-10", 1, 1, 0)]


async def test_a_filter_counts_what_it_selects_and_the_trash_is_not_counted(filled: PostgresStore) -> None:
    sounds = replace(MINE, filter=library_filter.parse("type = audio"))
    assert (await filled.library.statistics(sounds)).total == LibraryGroup("", 1, 100, 0)
    await change(filled, "UPDATE library_entries SET delete_time = now() WHERE kind = 'audio'")
    nothing = await filled.library.statistics(sounds)
    assert (nothing.total, nothing.types, nothing.months) == (LibraryGroup("", 0, 0, 0), [], [])


async def test_of_many_source_modules_the_largest_are_listed(filled: PostgresStore) -> None:
    for number in range(MODULES_MOST):
        asset = Asset("studio", "ann", f"{number + 100:064x}", 1, PICTURE, NOVEMBER)
        await filled.assets.put(asset, a_caller(), Details(source_module=f"module {number:03}"))
    found = await filled.library.statistics(MINE)
    assert found.source_modules[0].name == "story_writer" and len(found.source_modules) == MODULES_MOST
    assert found.total.assets == MODULES_MOST + 3
