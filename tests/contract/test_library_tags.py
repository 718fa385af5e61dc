"""What a filter by a tag reads: the list of a tag in the order of the library, and an index for the other orders."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from sqlalchemy.dialects.postgresql import psycopg

from services.orchestrator.domain import library_filter
from services.orchestrator.domain.asset import Asset
from services.orchestrator.domain.library_details import Details
from services.orchestrator.domain.library_list import LibraryList, Order, OrderKey
from services.orchestrator.domain.media_info import PictureInfo
from services.orchestrator.store import library_pages
from services.orchestrator.store.database import driver_url, migrate
from services.orchestrator.store.postgres_store import PostgresStore
from tests.support.builders import NOON, a_caller
from tests.support.migrations import migrated

MINE = LibraryList(tenant="studio", user="ann", filter=library_filter.parse("tags:chosen"))
INDEX = "library_entries_of_owned_tags"
SHA256 = "lpad(to_hex(number), 64, '0')"
# Of ten users each has 200 entries; every tenth entry has the tag.
ASSETS = f"""
INSERT INTO assets SELECT (jsonb_populate_record(assets, jsonb_build_object('sha256', {SHA256}, 'user',
    CASE number % 10 WHEN 0 THEN 'ann' ELSE 'other-' || number % 10 END))).*
FROM assets, generate_series(1, 2000) AS number
"""
ENTRIES = f"""
INSERT INTO library_entries (tenant, "user", sha256, kind, size_bytes, tags, create_time, update_time)
SELECT assets.tenant, assets."user", assets.sha256, 'image', 10,
    CASE WHEN number / 10 % 10 = 0 THEN ARRAY['old', 'chosen'] ELSE ARRAY['old'] END, now(), now()
FROM generate_series(1, 2000) AS number JOIN assets ON assets.sha256 = {SHA256}
"""


async def fill(store: PostgresStore) -> None:
    """Makes many entries of several users from one upload."""
    picture = Asset("studio", "ann", "f" * 64, 10, PictureInfo("image/png", 64, 64), NOON)
    await store.assets.put(picture, a_caller(), Details("A cat"))
    async with store.database.writing() as connection:
        for statement in (ASSETS, ENTRIES):
            await connection.execute(sa.text(statement))


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Returns the nodes of a plan."""
    yield plan
    for part in plan.get("Plans", ()):
        yield from nodes(part)


async def read(store: PostgresStore, which: LibraryList, *unlikely: str) -> dict[str, float]:
    """Returns the indexes that a page of 5 entries reads, with the number of entries that it gets from each.

    `unlikely` are kinds of work that a planner chooses for so few rows, and not for many.
    """
    page = library_pages.page(which, None, 5).compile(dialect=psycopg.dialect())  # type: ignore[no-untyped-call]
    async with store.database.direct() as connection, connection.transaction():
        await connection.execute("ANALYZE library_entries, library_tags")
        for kind in ("seqscan", *unlikely):
            await connection.execute(f"SET LOCAL enable_{kind} = off".encode())
        explained = await connection.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {page}".encode(), page.params)
        plan = (await explained.fetchone() or ([],))[0][0]["Plan"]
    return {
        node["Index Name"]: node["Actual Rows"] * node["Actual Loops"] for node in nodes(plan) if "Index Name" in node
    }


async def test_a_page_of_a_tag_reads_its_own_entries_alone(store: PostgresStore) -> None:
    await fill(store)
    found = await read(store, MINE, "sort", "hashjoin", "mergejoin")
    assert found == {"library_tags_pkey": 5, "library_entries_pkey": 5}


async def test_a_page_of_a_tag_in_another_order_reads_the_entries_of_its_user_alone(store: PostgresStore) -> None:
    await fill(store)
    assert (await read(store, replace(MINE, order=Order(OrderKey.COST))))[INDEX] == 20


@pytest.mark.parametrize(
    ("filter", "found"),
    [
        ("tags:chosen", 20),
        ("tags:chosen AND tags:old", 20),
        ("rating = 0 AND (tags:chosen AND rating < 3)", 20),
        ("NOT tags:chosen", 181),
        ("tags:chosen OR rating = 0", 201),
        ("tags:chosen AND tags != old", 0),
        ("tags != chosen", 181),
    ],
)
async def test_tags_mean_the_same_in_every_order(store: PostgresStore, filter: str, found: int) -> None:
    await fill(store)
    which = replace(MINE, filter=library_filter.parse(filter))
    for key in (OrderKey.CREATE_TIME, OrderKey.COST):
        for descending in (True, False):
            pages = await store.library.page(replace(which, order=Order(key, descending)), None, 300)
            assert len(pages) == found


async def test_the_list_of_a_tag_follows_every_change(store: PostgresStore) -> None:
    picture = Asset("studio", "ann", "f" * 64, 10, PictureInfo("image/png", 64, 64), NOON)
    await store.assets.put(picture, a_caller(), Details("A cat", tags=("a", "b")))
    listed = "SELECT tag FROM library_tags ORDER BY tag"
    changes = [
        ("UPDATE library_entries SET tags = ARRAY['b', 'c', 'c']", ["b", "c"]),
        ("UPDATE library_entries SET title = 'new'", ["b", "c"]),
        ("UPDATE library_entries SET tags = ARRAY['c', 'd']", ["c", "d"]),
        ("UPDATE library_entries SET create_time = create_time + interval '1 day'", ["c", "d"]),
        ("DELETE FROM library_entries", []),
    ]
    async with store.database.writing() as connection:
        for change, tags in changes:
            await connection.execute(sa.text(change))
            assert list(await connection.scalars(sa.text(listed))) == tags


@pytest.mark.parametrize("user", ["o'neil \\ 'x'", "ann chosen", "{a}", "ñ 猫"])
@pytest.mark.parametrize("tag", ["a b", "NULL", '{"x"}', "猫"])
async def test_a_tag_is_found_with_any_name_of_its_user(store: PostgresStore, user: str, tag: str) -> None:
    picture = Asset("studio", user, "f" * 64, 10, PictureInfo("image/png", 64, 64), NOON)
    await store.assets.put(picture, replace(a_caller(), user=user), Details("A cat", tags=(tag, "chosen")))
    quoted = tag.replace('"', '\\"')
    which = replace(MINE, user=user, filter=library_filter.parse(f'tags:"{quoted}" AND tags:chosen AND tags != other'))
    assert [entry.details.tags for _, entry, _ in await store.library.page(which, None, 9)] == [(tag, "chosen")]
    assert not await store.library.page(replace(which, user="ann"), None, 9)


def is_valid(url: str) -> bool | None:
    """Returns whether the index can be used; None: there is none."""
    engine = sa.create_engine(driver_url(url), poolclass=sa.NullPool)
    with engine.connect() as connection:
        query = sa.text("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)")
        found: bool | None = connection.scalar(query, {"name": INDEX})
    return found


async def test_rows_of_before_the_migration_are_found_by_their_tags_after_it(
    store: PostgresStore, database: str
) -> None:
    await fill(store)
    migrated(database, command.downgrade, "0025")
    assert is_valid(database) is None
    migrate(database)
    assert is_valid(database)
    assert len(await store.library.page(MINE, None, 100)) == 20


async def test_an_index_whose_making_was_interrupted_is_made_again(store: PostgresStore, database: str) -> None:
    engine = sa.create_engine(driver_url(database), poolclass=sa.NullPool)
    with engine.connect() as writer, engine.connect().execution_options(isolation_level="AUTOCOMMIT") as maker:
        maker.execute(sa.text(f"DROP INDEX {INDEX}"))
        writer.execute(sa.text("LOCK TABLE library_entries IN ROW EXCLUSIVE MODE"))
        for most_ms in (100, 1_000, 10_000):  # on a slow machine the first may end before there is anything
            maker.execute(sa.text(f"SET statement_timeout = {most_ms}"))
            with pytest.raises(sa.exc.OperationalError):
                maker.execute(sa.text(f"CREATE INDEX CONCURRENTLY {INDEX} ON library_entries (tenant)"))
            if is_valid(database) is False:
                break
    assert is_valid(database) is False
    migrate(database)
    assert is_valid(database)
