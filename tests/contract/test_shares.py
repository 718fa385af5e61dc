"""Shares in PostgreSQL: who sees what, until when."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
import sqlalchemy as sa

from services.errors import NotFound, PreconditionFailed
from services.orchestrator.domain.collection import CollectionKey
from services.orchestrator.domain.library_entry import EntryKey
from services.orchestrator.domain.share import ATTEMPT_EVERY, ATTEMPTS, OPEN_MOST, NewShare, Share, ShareKey
from services.orchestrator.domain.shared import SharedPlace
from services.orchestrator.store.postgres_store import PostgresStore
from services.reasons import LibraryReason
from tests.support.builders import NOON, FakeClock
from tests.support.old_jobs import Bytes
from tests.support.trash_rounds import TrashRig

ROOFS = CollectionKey("studio", "ann", "roofs")
WEEK = timedelta(days=7)


@pytest.fixture
async def rig(store: PostgresStore, clock: FakeClock, tmp_path: Path) -> TrashRig:
    await store.collections.create(ROOFS, "Roofs", "", NOON)
    return TrashRig(store, Bytes(tmp_path), clock, tmp_path)


def new(id: str, of: EntryKey | CollectionKey, **fields: object) -> NewShare:
    given = {
        "key": ShareKey(of.tenant, of.user, id),
        "token_sha256": f"{int.from_bytes(id.encode()):064x}",
        "asset": of.sha256 if isinstance(of, EntryKey) else "",
        "collection": of.id if isinstance(of, CollectionKey) else "",
        "pass_phrase": "",
        "create_time": NOON,
        "expire_time": NOON + WEEK,
    }
    return NewShare(**(given | fields))  # type: ignore[arg-type]


async def made(rig: TrashRig, id: str, of: EntryKey | CollectionKey, **fields: object) -> Share:
    share, is_new = await rig.store.shares.create(new(id, of, **fields))
    assert is_new
    return share


async def shows(rig: TrashRig, share: Share, after: timedelta = timedelta()) -> list[str] | None:
    """The digests that a share shows; None: it shows nothing, not even an empty collection."""
    page = await rig.store.shares.shown(share, NOON + after, limit=100)
    found = None if page is None else [each.asset.sha256 for each in page.assets]
    for sha256 in found or []:
        assert await rig.store.shares.asset(share, sha256, NOON + after) is not None
    return found


async def test_a_share_shows_its_asset_until_it_expires_or_is_revoked(rig: TrashRig) -> None:
    cat, dog = await rig.upload("cat"), await rig.upload("dog")
    share = await made(rig, "1", cat)
    assert await rig.store.shares.of_token(new("1", cat).token_sha256) == share
    assert await rig.store.shares.of_token("0" * 64) is None
    assert await shows(rig, share) == [cat.sha256]
    assert await rig.store.shares.asset(share, dog.sha256, NOON) is None
    assert await shows(rig, share, WEEK - timedelta(seconds=1)) == [cat.sha256]
    assert await shows(rig, share, WEEK) is None
    assert await rig.store.shares.asset(share, cat.sha256, NOON + WEEK) is None
    other = await made(rig, "2", cat)
    ended = await rig.store.shares.revoke(other.key, NOON)
    assert ended.revoke_time == NOON
    assert await rig.store.shares.revoke(other.key, NOON + timedelta(hours=1)) == ended
    assert await shows(rig, other) is None
    assert await shows(rig, share) == [cat.sha256]
    entry = await rig.store.library.find(cat.sha256, tenant="studio", user="ann")
    assert entry is not None and (entry.shares, entry.revision) == (2, 1)


async def test_an_asset_in_the_trash_is_not_shown_and_one_that_is_deleted_takes_its_shares_with_it(
    rig: TrashRig,
) -> None:
    cat = await rig.upload("cat")
    share = await made(rig, "1", cat)
    await rig.store.trash.put(cat, NOON)
    assert await shows(rig, share) is None
    with pytest.raises(NotFound):
        await rig.store.shares.create(new("2", cat))
    await rig.store.trash.restore(cat, NOON)
    assert await shows(rig, share) == [cat.sha256]
    await rig.store.trash.purge(cat, NOON)
    assert await rig.store.shares.find(share.key) is None
    assert await rig.upload("cat") == cat
    assert await shows(rig, share) is None, "the same file again is another entry"


async def test_a_collection_shows_what_is_in_it_now(rig: TrashRig) -> None:
    collections, share = rig.store.collections, await made(rig, "1", ROOFS)
    cat, dog, bird = [await rig.upload(name) for name in ("cat", "dog", "bird")]
    assert await shows(rig, share) == []
    await collections.add(ROOFS, [cat.sha256], NOON)
    await collections.add(ROOFS, [dog.sha256], NOON + timedelta(seconds=1))
    assert await shows(rig, share) == [dog.sha256, cat.sha256]
    assert await rig.store.shares.asset(share, bird.sha256, NOON) is None
    await collections.remove(ROOFS, [dog.sha256], NOON)
    assert await rig.store.shares.asset(share, dog.sha256, NOON) is None
    await rig.store.trash.put(cat, NOON)
    assert await shows(rig, share) == []
    await rig.store.trash.restore(cat, NOON)
    assert await shows(rig, share) == [cat.sha256]
    page = await rig.store.shares.shown(share, NOON, limit=1)
    assert page is not None and (page.title, page.asset_count) == ("Roofs", 1)
    await collections.delete(ROOFS)
    assert await shows(rig, share) is None
    assert await rig.store.shares.find(share.key) is None


async def test_a_long_collection_is_shown_page_by_page(rig: TrashRig) -> None:
    names = [(await rig.upload(f"cat {number}")).sha256 for number in range(7)]
    await rig.store.collections.add(ROOFS, names, NOON)
    share, seen, after = await made(rig, "1", ROOFS), list[str](), None
    while True:
        page = await rig.store.shares.shown(share, NOON, after=after, limit=3)
        assert page is not None and page.asset_count == 7
        if not page.assets:
            break
        seen += [each.asset.sha256 for each in page.assets]
        after = page.assets[-1].place
    assert seen == names[::-1]
    for moment in (datetime.min, datetime.max):
        for zone in (timezone(timedelta(hours=14)), timezone(timedelta(hours=-12))):
            place = SharedPlace(moment.replace(tzinfo=zone), 10**18 - 1)
            page = await rig.store.shares.shown(share, NOON, after=place, limit=9)
            assert page is not None and len(page.assets) == (7 if moment == datetime.max else 0)


@pytest.mark.parametrize("state", ["suspended", "deleted"])
async def test_the_shares_of_a_tenant_that_is_not_active_show_nothing(rig: TrashRig, state: str) -> None:
    cat = await rig.upload("cat")
    share = await made(rig, "1", cat)
    async with rig.store.database.writing() as connection:
        values = "state = 'deleted', delete_time = now()" if state == "deleted" else f"state = '{state}'"
        await connection.execute(sa.text(f"UPDATE tenants SET {values} WHERE id = 'studio'"))
    assert await rig.store.shares.of_token(new("1", cat).token_sha256) is None
    assert await shows(rig, share) is None
    assert await rig.store.shares.asset(share, cat.sha256, NOON) is None


@pytest.mark.parametrize("of", [ShareKey("studio", "bob", "1"), ShareKey("other", "ann", "1")])
async def test_a_share_of_another_user_or_tenant_is_not_found(rig: TrashRig, of: ShareKey) -> None:
    cat = await rig.upload("cat")
    share = await made(rig, "1", cat)
    assert await rig.store.shares.find(of) is None
    with pytest.raises(NotFound):
        await rig.store.shares.revoke(of, NOON)
    assert not await rig.store.shares.page(of.tenant, of.user, None, 9)
    for target in (cat, ROOFS):
        with pytest.raises(NotFound):
            await rig.store.shares.create(new("2", replace(target, tenant=of.tenant, user=of.user)))
    assert await shows(rig, share) == [cat.sha256]


async def test_the_same_asset_of_another_user_is_apart(rig: TrashRig) -> None:
    mine, theirs = await rig.upload("cat"), await rig.upload("cat", "bob")
    share = await made(rig, "1", mine)
    other = await made(rig, "2", theirs)
    await rig.store.trash.put(mine, NOON)
    assert await shows(rig, share) is None
    assert await shows(rig, other) == [theirs.sha256]


async def test_a_repeated_create_makes_one_share_and_counts_once(rig: TrashRig) -> None:
    cat = await rig.upload("cat")
    answers = await asyncio.gather(
        *(rig.store.shares.create(new("1", cat, token_sha256=f"{number:064x}")) for number in range(4))
    )
    assert sum(is_new for _, is_new in answers) == 1
    assert len({share.number for share, _ in answers}) == 1
    entry = await rig.store.library.find(cat.sha256, tenant="studio", user="ann")
    assert entry is not None and entry.shares == 1


async def test_the_newest_are_listed_first_and_ended_ones_can_be_left_out(rig: TrashRig) -> None:
    cat = await rig.upload("cat")
    for id in ("1", "2", "3"):
        await made(rig, id, cat)
    await rig.store.shares.revoke(ShareKey("studio", "ann", "2"), NOON)
    first = await rig.store.shares.page("studio", "ann", None, 2)
    assert [each.key.id for each in first] == ["3", "2"]
    assert [each.key.id for each in await rig.store.shares.page("studio", "ann", first[-1].number, 2)] == ["1"]
    still = await rig.store.shares.page("studio", "ann", None, 9, open_at=NOON)
    assert [each.key.id for each in still] == ["3", "1"]
    assert not await rig.store.shares.page("studio", "ann", None, 9, open_at=NOON + WEEK)


async def test_open_shares_are_bounded_and_ended_ones_are_forgotten_after_a_month(rig: TrashRig) -> None:
    cat = await rig.upload("cat")
    await made(rig, "old", cat, expire_time=NOON + timedelta(days=1))
    async with rig.store.database.writing() as connection:
        await connection.execute(
            sa.text("""
            INSERT INTO shares (tenant, "user", id, token_sha256, entry, create_time, expire_time)
            SELECT tenant, "user", 'n' || copy, lpad(copy::text, 64, '0'), entry, create_time, create_time + '7 days'
            FROM shares, generate_series(2, :most) AS copy
            """),
            {"most": OPEN_MOST},
        )
    with pytest.raises(PreconditionFailed) as caught:
        await rig.store.shares.create(new("new", cat))
    assert caught.value.reason == LibraryReason.SHARES_TOO_MANY
    later = NOON + timedelta(days=2)
    await made(rig, "new", cat, create_time=later, expire_time=later + WEEK)
    assert await rig.store.shares.find(ShareKey("studio", "ann", "old")) is not None
    later = NOON + timedelta(days=32)
    await made(rig, "newer", cat, create_time=later, expire_time=later + WEEK)
    assert await rig.store.shares.find(ShareKey("studio", "ann", "old")) is None
    assert await rig.store.shares.find(ShareKey("studio", "ann", "new")) is not None


async def test_attempts_at_a_pass_phrase_are_limited_and_right_ones_do_not_count(rig: TrashRig) -> None:
    shares, share = rig.store.shares, await made(rig, "1", await rig.upload("cat"))
    for _ in range(3 * ATTEMPTS):
        assert await shares.attempt(share, NOON) is None
        await shares.succeeded(share)
    taken = await asyncio.gather(*(shares.attempt(share, NOON) for _ in range(3 * ATTEMPTS)))
    assert taken.count(None) == ATTEMPTS
    assert {again for again in taken if again} == {NOON + ATTEMPT_EVERY}
    assert await shares.attempt(share, NOON + ATTEMPT_EVERY - timedelta(seconds=1)) == NOON + ATTEMPT_EVERY
    assert await shares.attempt(share, NOON + ATTEMPT_EVERY) is None
    assert await shares.attempt(share, NOON + ATTEMPT_EVERY) == NOON + 2 * ATTEMPT_EVERY
    later = [await shares.attempt(share, NOON + timedelta(days=1)) for _ in range(ATTEMPTS + 1)]
    assert later.count(None) == ATTEMPTS
