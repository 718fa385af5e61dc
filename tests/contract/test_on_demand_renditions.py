"""Renditions on demand by several processes: one makes them, and what is removed meanwhile leaves nothing."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from prometheus_client import CollectorRegistry

from services.errors import NotFound, PreconditionFailed, Unavailable
from services.orchestrator.assets.renditions import OnDemandRenditions
from services.orchestrator.blobs.local import LocalBlobs
from services.orchestrator.clock_and_ids import SystemClock
from services.orchestrator.domain.asset import Asset
from services.orchestrator.domain.media_info import PictureInfo
from services.orchestrator.domain.rendition import THUMBNAILS, Info, Recipe, Rendition, Variant, rendition_key
from services.orchestrator.library_metrics import LibraryMetrics
from services.orchestrator.ports.renditions import Made, NotMade
from services.orchestrator.store.postgres_store import PostgresStore
from services.reasons import LibraryReason, ServiceReason
from tests.support.builders import NOON, a_caller

PICTURE = Asset("studio", "ann", "a" * 64, 3, PictureInfo("image/png", 64, 64), NOON)
NAME = "thumbnail-128"


async def nothing() -> None:
    """Does not wait."""


class ScriptedMaker:
    """Counts its calls, and does what the test wants before it makes."""

    def __init__(self, before: Callable[[], Awaitable[None]] = nothing, fill: bytes = b"x") -> None:
        self.before = before
        self.fill = fill
        self.calls = 0

    async def make(self, recipe: Recipe, source: Path, info: Info, folder: Path, *, tenant: str) -> Made:
        self.calls += 1
        assert source.read_bytes() == b"abc"
        await self.before()
        files = []
        for variant, side in THUMBNAILS.items():
            (folder / variant).write_bytes(self.fill * side)
            files.append((Rendition(variant, "image/webp", side, side, side), folder / variant))
        return Made(tuple(files), 7)


def endless() -> tuple[ScriptedMaker, asyncio.Event]:
    """Returns a maker that does not come to an end, and what tells that it has begun."""
    began = asyncio.Event()

    async def forever() -> None:
        began.set()
        await asyncio.Event().wait()

    return ScriptedMaker(forever), began


Process = Callable[..., OnDemandRenditions]


@pytest.fixture
async def process(store: PostgresStore, tmp_path: Path) -> Process:
    """Makes what one of several processes has, and stores an asset."""
    blobs = LocalBlobs(tmp_path / "blobs")
    (tmp_path / "abc").write_bytes(b"abc")
    await blobs.put_file(PICTURE.key, tmp_path / "abc", media_type="image/png")
    await store.assets.put(PICTURE, a_caller())

    def made(maker: ScriptedMaker, wait_s: float = 20.0, renew_s: float = 0.05) -> OnDemandRenditions:
        meter = LibraryMetrics(CollectorRegistry())
        return OnDemandRenditions(
            store.renditions, maker, store.assets, blobs, SystemClock(), meter, tmp_path, wait_s=wait_s, renew_s=renew_s
        )

    return made


def stored(folder: Path) -> list[str]:
    return sorted(file.name for file in (folder / "blobs").rglob("*") if file.is_file() and "renditions" in file.parts)


async def test_many_calls_of_several_processes_make_a_rendition_once(process: Process, tmp_path: Path) -> None:
    maker = ScriptedMaker(lambda: asyncio.sleep(0.1))
    processes = [process(maker) for _ in range(3)]
    found = await asyncio.gather(*(each.get(PICTURE, name) for each in processes for name in (NAME, "thumbnail-512")))
    assert maker.calls == 1
    assert [each.size_bytes for each in found] == [128, 512] * 3
    assert stored(tmp_path) == sorted(f"{PICTURE.sha256}.{variant}" for variant in THUMBNAILS)


async def test_a_maker_whose_caller_left_gives_way_to_the_next(process: Process) -> None:
    maker, began = endless()
    first = asyncio.create_task(process(maker).get(PICTURE, NAME))
    await began.wait()
    second = asyncio.create_task(process(ScriptedMaker()).get(PICTURE, NAME))
    assert (await asyncio.wait({second}, timeout=0.2))[0] == set()
    first.cancel()
    assert (await second).size_bytes == 128


async def test_a_call_waits_for_another_maker_only_so_long(process: Process) -> None:
    maker, began = endless()
    first = asyncio.create_task(process(maker).get(PICTURE, NAME))
    await began.wait()
    with pytest.raises(Unavailable, match="still being made"):
        await process(ScriptedMaker(), wait_s=0.2).get(PICTURE, NAME)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)


async def test_what_is_wrong_with_the_file_is_remembered_and_a_lack_of_means_is_not(process: Process) -> None:
    async def broken() -> None:
        raise NotMade("its data cannot be decoded")

    async def short() -> None:
        raise Unavailable("no decoder", reason=ServiceReason.DECODER_UNAVAILABLE)

    maker = ScriptedMaker(short)
    for _ in range(2):
        with pytest.raises(Unavailable, match="no decoder"):
            await process(maker).get(PICTURE, NAME)
    maker.before = broken
    for _ in range(2):
        with pytest.raises(PreconditionFailed, match="its data cannot be decoded") as refused:
            await process(maker).get(PICTURE, NAME)
        assert refused.value.reason is LibraryReason.RENDITION_FAILED
    assert maker.calls == 3


async def test_an_asset_that_is_removed_while_its_rendition_is_made_leaves_nothing(
    process: Process, store: PostgresStore, tmp_path: Path
) -> None:
    async def removed() -> None:
        async with store.database.writing() as connection:
            await connection.execute(sa.text("DELETE FROM library_entries"))
            await connection.execute(sa.text("DELETE FROM assets"))
        await process(ScriptedMaker()).remove("studio", PICTURE.sha256)

    with pytest.raises(NotFound):
        await process(ScriptedMaker(removed)).get(PICTURE, NAME)
    assert stored(tmp_path) == []
    async with store.database.reading() as connection:
        assert (await connection.execute(sa.text("SELECT count(*) FROM renditions"))).scalar_one() == 0


async def test_a_maker_that_was_overtaken_leaves_the_files_of_the_other(
    process: Process, store: PostgresStore, tmp_path: Path
) -> None:
    async def overtaken() -> None:
        async with store.database.writing() as connection:
            await connection.execute(sa.text("UPDATE renditions SET create_time = now() - interval '1 minute'"))
        await process(ScriptedMaker(fill=b"y")).get(PICTURE, NAME)

    await process(ScriptedMaker(overtaken), renew_s=60.0).get(PICTURE, NAME)
    assert (tmp_path / "blobs" / rendition_key("studio", PICTURE.sha256, Variant(NAME))).read_bytes() == b"y" * 128


async def test_a_removal_that_was_interrupted_is_finished_by_the_next(process: Process, tmp_path: Path) -> None:
    renditions = process(ScriptedMaker())
    await renditions.get(PICTURE, NAME)
    await renditions.renditions.withdraw("studio", PICTURE.sha256)
    await renditions.blobs.delete(rendition_key("studio", PICTURE.sha256, next(iter(THUMBNAILS))))
    assert await renditions.remove("studio", PICTURE.sha256) == len(THUMBNAILS)
    assert stored(tmp_path) == []
    assert await renditions.remove("studio", PICTURE.sha256) == 0
