"""Uploads that go to a real S3 server by a signed form."""

import hashlib
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from services.errors import InvalidUpload, NotFound, PreconditionFailed
from services.orchestrator.assets.direct_uploads import DirectUploads
from services.orchestrator.assets.ingest import Ingest, Upload
from services.orchestrator.assets.resumable_uploads import ResumableUploads
from services.orchestrator.assets.upload_parts import UploadParts
from services.orchestrator.blobs.minio import MinioBlobs
from services.orchestrator.clock_and_ids import SystemClock, SystemIds
from services.orchestrator.domain.library_details import Details
from services.orchestrator.domain.open_upload import UploadId
from services.orchestrator.media.upload_probe import UploadProbe
from services.orchestrator.ports.blobs import SignedPost
from services.orchestrator.store.postgres_store import PostgresStore
from tests.support import pictures
from tests.support.blob_stores import content, minio, s3_named
from tests.support.builders import a_caller

Send = Callable[[SignedPost, bytes], Awaitable[None]]
PICTURE = pictures.a_picture()
ID = UploadId("studio", "ann", str(uuid.uuid4()))
UPLOAD = Upload("image/*", len(PICTURE), hashlib.sha256(PICTURE).hexdigest(), Details("A cat"))


@pytest_asyncio.fixture(params=["rclone", "rgw", "outside"])
async def blobs(request: pytest.FixtureRequest) -> AsyncIterator[MinioBlobs]:
    blobs = minio(s3_named(request.param, request))
    yield blobs
    await blobs.close()


@pytest.fixture
def send(request: pytest.FixtureRequest, blobs: MinioBlobs, tmp_path: Path) -> Send:
    """Sends a file by a form. rclone reads no forms: there the file is stored under the form's key."""

    async def by_form(form: SignedPost, data: bytes) -> None:
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.post(form.url, data=dict(form.fields), files={"file": data})
        assert answer.is_success, answer.text

    async def by_key(form: SignedPost, data: bytes) -> None:
        (tmp_path / "sent").write_bytes(data)
        await blobs.put_file(form.fields["key"], tmp_path / "sent", media_type="application/octet-stream")

    return by_key if "rclone" in request.node.name else by_form


@pytest.fixture
def uploads(store: PostgresStore, blobs: MinioBlobs, tmp_path: Path) -> DirectUploads:
    clock, parts = SystemClock(), UploadParts(store.uploads, blobs)
    ingest = Ingest(store.assets, blobs, clock, UploadProbe(), tmp_path)
    return DirectUploads(ResumableUploads(store.uploads, parts, store.assets, blobs, ingest, clock, SystemIds()), blobs)


async def test_a_file_that_was_sent_to_the_store_becomes_an_asset(
    uploads: DirectUploads, store: PostgresStore, blobs: MinioBlobs, send: Send
) -> None:
    form = await uploads.create(ID, UPLOAD, a_caller())
    with pytest.raises(PreconditionFailed, match="Nothing has arrived"):
        await uploads.finalize(ID, a_caller())
    await send(form, PICTURE)
    asset = await uploads.finalize(ID, a_caller())
    assert len(await content(blobs, asset.key)) == asset.size_bytes
    assert await uploads.finalize(ID, a_caller()) == asset
    assert await blobs.size(f"{ID.prefix}direct") is None
    entry = await store.library.find(asset.sha256, tenant="studio", user="ann")
    assert entry is not None and entry.details == Details("A cat")


@pytest.mark.parametrize("sent", [b"<html>", PICTURE[:-1] + b"!", PICTURE[:100]], ids=["text", "changed", "cut"])
async def test_another_file_than_announced_is_refused_and_removed(
    uploads: DirectUploads, blobs: MinioBlobs, send: Send, sent: bytes
) -> None:
    await send(await uploads.create(ID, UPLOAD, a_caller()), sent)
    with pytest.raises(InvalidUpload):
        await uploads.finalize(ID, a_caller())
    assert await blobs.size(f"{ID.prefix}direct") is None
    with pytest.raises(NotFound):
        await uploads.finalize(ID, a_caller())
