"""Uploads that began in the old store and end when the new one is there."""

import hashlib
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.errors import PreconditionFailed
from services.orchestrator.assets.blob_copy import BlobCopy, Outcome
from services.orchestrator.assets.direct_uploads import DirectUploads
from services.orchestrator.assets.ingest import Ingest, Upload
from services.orchestrator.assets.resumable_uploads import ResumableUploads
from services.orchestrator.assets.upload_parts import UploadParts
from services.orchestrator.blobs.local import LocalBlobs
from services.orchestrator.blobs.moving import MovingBlobs
from services.orchestrator.clock_and_ids import SystemClock, SystemIds
from services.orchestrator.domain.asset import Asset
from services.orchestrator.domain.open_upload import UploadId
from services.orchestrator.media.upload_probe import UploadProbe
from services.orchestrator.ports.blobs import Blobs
from services.orchestrator.store.postgres_store import PostgresStore
from tests.support import pictures
from tests.support.blob_copies import outcomes
from tests.support.blob_stores import content, minio
from tests.support.builders import a_caller
from tests.support.s3_fixture import S3Server

PICTURE = pictures.a_picture()
UPLOAD = Upload("image/*", len(PICTURE), hashlib.sha256(PICTURE).hexdigest())


def uploads(store: PostgresStore, blobs: Blobs, spool: Path) -> DirectUploads:
    """The uploads of a process with these stores."""
    clock, parts = SystemClock(), UploadParts(store.uploads, blobs)
    ingest = Ingest(store.assets, blobs, clock, UploadProbe(), spool)
    resumable = ResumableUploads(store.uploads, parts, store.assets, blobs, ingest, clock, SystemIds(), part_bytes=100)
    return DirectUploads(resumable, blobs)


async def stream(data: bytes) -> AsyncIterator[bytes]:
    for first in range(0, len(data), 50):
        yield data[first : first + 50]


async def check(moving: MovingBlobs, asset: Asset, upload_id: UploadId) -> None:
    """The asset is in the new store, and nothing of the upload in either."""
    assert await moving.new.size(asset.key) == asset.size_bytes
    assert len(await content(moving.new, asset.key)) == asset.size_bytes
    assert await moving.old.size(asset.key) is None
    left = await moving.stored("uploads/", after="", limit=1000)
    assert [each.key for each in left if each.key.startswith(upload_id.prefix)] == []


def a_copy(moving: MovingBlobs, store: PostgresStore, spool: Path) -> BlobCopy:
    return BlobCopy(moving.new, moving.old, store.blob_removals, store.blob_references, SystemClock(), spool)


async def test_an_upload_in_parts_goes_on_in_the_new_store(store: PostgresStore, tmp_path: Path) -> None:
    moving = MovingBlobs(LocalBlobs(tmp_path / "new"), LocalBlobs(tmp_path / "old"))
    upload_id, half = UploadId("studio", "ann", str(uuid.uuid4())), len(PICTURE) // 2
    before = uploads(store, moving.old, tmp_path).uploads
    with pytest.raises(PreconditionFailed):
        await before.take(upload_id, 0, UPLOAD, stream(PICTURE[:half]), a_caller())
    found = [outcome for _, outcome in await outcomes(a_copy(moving, store, tmp_path))]
    assert set(found) == {Outcome.WAITING}
    after = uploads(store, moving, tmp_path).uploads
    asset = await after.take(upload_id, half, UPLOAD, stream(PICTURE[half:]), a_caller())
    await check(moving, asset, upload_id)
    assert await outcomes(a_copy(moving, store, tmp_path)) == []
    await moving.close()


async def test_a_file_that_a_form_of_the_old_store_brings_after_the_copy_becomes_an_asset(
    store: PostgresStore, s3_server: S3Server, tmp_path: Path
) -> None:
    moving = MovingBlobs(LocalBlobs(tmp_path / "new"), minio(s3_server, name=f"i2v-{uuid.uuid4()}"))
    upload_id = UploadId("studio", "ann", str(uuid.uuid4()))
    form = await uploads(store, moving.old, tmp_path).create(upload_id, UPLOAD, a_caller())
    assert await outcomes(a_copy(moving, store, tmp_path)) == []
    (tmp_path / "sent").write_bytes(PICTURE)
    await moving.old.put_file(form.fields["key"], tmp_path / "sent", media_type="image/png")
    assert [outcome for _, outcome in await outcomes(a_copy(moving, store, tmp_path))] == [Outcome.WAITING]
    asset = await uploads(store, moving, tmp_path).finalize(upload_id, a_caller())
    await check(moving, asset, upload_id)
    await moving.close()
