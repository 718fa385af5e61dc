"""The copy of everything to another store: what it finds, what it never brings back, and where it goes on."""

import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from services.errors import Unavailable
from services.orchestrator.assets.blob_copy import Outcome, Phase
from services.orchestrator.domain.asset import blob_key
from services.orchestrator.domain.rendition import Variant, rendition_key
from services.orchestrator.domain.retention import NOTHING_DUE
from services.orchestrator.ports.blobs import Blobs
from services.orchestrator.store.postgres_store import PostgresStore
from tests.support.blob_copies import (
    FAST,
    a_copy,
    moving_bytes,
    old_rig,
    outcomes,
)
from tests.support.blob_stores import content, minio
from tests.support.builders import FakeClock
from tests.support.old_jobs import digest
from tests.support.s3_fixture import S3Server
from tests.support.trash_rounds import TrashRig


@pytest_asyncio.fixture(params=["folder", "rclone"])
async def rig(
    request: pytest.FixtureRequest, store: PostgresStore, clock: FakeClock, tmp_path: Path
) -> AsyncIterator[TrashRig]:
    new: Blobs | None = None
    if request.param == "rclone":
        server: S3Server = request.getfixturevalue("s3_server")
        new = minio(server, name=f"copy-{abs(hash(request.node.nodeid)) % 10**12}")
    made = TrashRig(store, moving_bytes(tmp_path, new), clock, tmp_path)
    yield made
    await made.stored.blobs.close()


def sides(rig: TrashRig) -> tuple[Blobs, Blobs]:
    """The new store and the old one."""
    return rig.stored.blobs.new, rig.stored.blobs.old  # type: ignore[attr-defined]


async def put(rig: TrashRig, blobs: Blobs, key: str, data: bytes) -> None:
    source = rig.folder / "put"
    source.unlink(missing_ok=True)
    source.write_bytes(data)
    await blobs.put_file(key, source, media_type="image/webp")


async def test_everything_is_copied_once(rig: TrashRig) -> None:
    new, old = sides(rig)
    keys = [await old_rig(rig).upload(name) for name in "abc"]
    rendition = rendition_key("studio", digest("a"), Variant.THUMBNAIL_128)
    await put(rig, old, rendition, b"small")
    planned = await outcomes(a_copy(rig), dry_run=True)
    assert [outcome for _, outcome in planned] == [Outcome.COPIED] * 4
    assert await new.stored("tenants/", after="", limit=9) == []
    assert dict(await outcomes(a_copy(rig))) == dict(planned)
    for name, key in zip("abc", keys, strict=True):
        assert await content(new, blob_key(key.tenant, key.sha256)) == name.encode()
    assert await content(new, rendition) == b"small"
    assert {outcome for _, outcome in await outcomes(a_copy(rig))} == {Outcome.PRESENT}
    assert await rig.store.blob_removals.due(rig.clock.now().replace(year=2100)) == NOTHING_DUE


async def test_it_says_what_is_altered_missing_or_still_in_use(rig: TrashRig) -> None:
    new, old = sides(rig)
    key, lost = [await old_rig(rig).upload(name) for name in ("a", "lost")]
    altered = blob_key(key.tenant, key.sha256)
    await put(rig, old, altered, b"b")
    await old.delete(blob_key(lost.tenant, lost.sha256))
    now = rig.clock.now().timestamp()
    for name, age_s in (("checkpoints/job.0001", 0), ("uploads/x.1.y", 0), ("uploads/old.1.y", 3 * 86_400)):
        await put(rig, old, name, b"latents")
        os.utime(rig.folder / "old" / name, (now - age_s, now - age_s))
    assert await outcomes(a_copy(rig)) == [
        ("checkpoints/job.0001", Outcome.WAITING),
        (altered, Outcome.ALTERED),
        ("uploads/x.1.y", Outcome.WAITING),
        (blob_key(lost.tenant, lost.sha256), Outcome.MISSING),
    ]
    assert await new.stored("", after="", limit=9) == []


async def test_it_goes_on_after_a_key_and_then_looks_for_what_it_has_passed(rig: TrashRig) -> None:
    keys = sorted(blob_key(key.tenant, key.sha256) for key in [await old_rig(rig).upload(name) for name in "abc"])
    run = a_copy(rig).run(Phase.COPYING, keys[0], bytes_per_second=FAST, dry_run=False)
    copied = [(step.phase, step.key) async for step in run if step.outcome is Outcome.COPIED]
    assert copied == [(Phase.COPYING, keys[1]), (Phase.COPYING, keys[2]), (Phase.CHECKING, keys[0])]
    run = a_copy(rig).run(Phase.CHECKING, keys[1], bytes_per_second=FAST, dry_run=False)
    assert [step.key async for step in run] == keys[2:]


async def test_a_broken_copy_is_made_again(rig: TrashRig) -> None:
    key = await old_rig(rig).upload("long name")
    new, _ = sides(rig)
    await put(rig, new, blob_key(key.tenant, key.sha256), b"cut")
    assert [outcome for _, outcome in await outcomes(a_copy(rig))] == [Outcome.COPIED]
    assert await content(new, blob_key(key.tenant, key.sha256)) == b"long name"


async def test_no_room_stops_it(rig: TrashRig) -> None:
    await old_rig(rig).upload("a")

    def no_room(size_bytes: int) -> None:
        raise Unavailable("full", reason="DISK_FULL")

    copy = a_copy(rig)
    full = type(copy)(copy.new, copy.old, copy.removals, copy.references, copy.clock, copy.spool, no_room)
    with pytest.raises(Unavailable):
        await outcomes(full)


async def test_it_reads_no_faster_than_it_may(rig: TrashRig) -> None:
    for name in ("a" * 60, "b" * 60):
        await put(rig, sides(rig)[1], f"tenants/studio/assets/{digest(name)}", name.encode() * 40_000)
    began = time.monotonic()
    run = a_copy(rig).run(Phase.COPYING, "", bytes_per_second=8_000_000, dry_run=False)
    assert [step.outcome async for step in run if step.outcome] == [Outcome.ALTERED] * 2
    assert time.monotonic() - began >= 0.4, "4 of 4.8 MB; what is left of a blob after its last MiB is not counted"
