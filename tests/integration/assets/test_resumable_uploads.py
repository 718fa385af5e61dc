"""Uploads that break and continue, and reads of parts of an asset."""

import hashlib
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from i2v.v1 import asset_pb2

from services.orchestrator.assets.resumable_uploads import PART_BYTES
from services.orchestrator.assets.upload_parts import UploadParts
from services.orchestrator.blobs.local import LocalBlobs
from services.orchestrator.clock_and_ids import SystemClock
from services.orchestrator.retention.old_uploads import OldUploads
from tests.support import pictures, sounds
from tests.support.blob_stores import until
from tests.support.builders import ScriptedBackend
from tests.support.served_orchestrator import Served, caller, parts, served

PICTURE = pictures.a_picture()
SOUND = sounds.a_sound("audio/wav", 60.0)


@pytest.fixture
async def i2v(database: str, tmp_path: Path) -> AsyncIterator[Served]:
    async with served(database, tmp_path, {"test": (ScriptedBackend(), 1)}) as running:
        yield running


def a_header(
    data: bytes, media_type: str = "audio/*", offset: int = 0, **changes: object
) -> asset_pb2.WriteAssetHeader:
    fields = {"upload_id": str(uuid.uuid5(uuid.NAMESPACE_OID, "file")), "size_bytes": len(data)} | changes
    return asset_pb2.WriteAssetHeader(
        media_type=media_type, sha256=hashlib.sha256(data).hexdigest(), offset=offset, **fields
    )


async def write(i2v: Served, header: asset_pb2.WriteAssetHeader, data: bytes, **who: str) -> asset_pb2.Asset:
    while True:
        try:
            return await i2v.assets.WriteAsset(parts(header, data), metadata=caller(**who))
        except grpc.aio.AioRpcError as error:
            # gRPC's client may report only this for a call that was answered while it was sending. So try again.
            if error.details() != "Internal error from Core":
                raise


async def status(i2v: Served, upload_id: str, **who: str) -> asset_pb2.WriteStatus:
    request = asset_pb2.QueryWriteStatusRequest(upload_id=upload_id)
    return await i2v.assets.QueryWriteStatus(request, metadata=caller(**who))


async def test_an_upload_that_broke_continues_from_what_has_arrived(i2v: Served) -> None:
    assert len(SOUND) > PART_BYTES
    header = a_header(SOUND)

    call = i2v.assets.WriteAsset(metadata=caller())
    async for request in parts(header, SOUND[: PART_BYTES + 100_000]):
        await call.write(request)

    async def one_part() -> bool:
        return (await status(i2v, header.upload_id)).received_bytes >= PART_BYTES

    await until(one_part)
    call.cancel()
    found = await status(i2v, header.upload_id)
    assert PART_BYTES <= found.received_bytes < PART_BYTES + 100_000 and found.size_bytes == len(SOUND)
    received = found.received_bytes
    asset = await write(i2v, a_header(SOUND, offset=received), SOUND[received:])
    assert await i2v.download(asset.name) == SOUND
    found = await status(i2v, header.upload_id)
    assert (found.asset, found.received_bytes) == (asset.name, len(SOUND))
    again = await write(i2v, header, SOUND)  # the answer was lost
    assert again.name == asset.name


async def test_an_upload_that_ends_early_says_where_to_continue(i2v: Served) -> None:
    with pytest.raises(grpc.aio.AioRpcError, match="Continue from byte 100000") as refused:
        await write(i2v, a_header(SOUND), SOUND[:100_000])
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION
    with pytest.raises(grpc.aio.AioRpcError, match="Byte 100000 comes next, not byte 5"):
        await write(i2v, a_header(SOUND, offset=5), SOUND[5:])
    asset = await write(i2v, a_header(SOUND, offset=100_000), SOUND[100_000:])
    assert await i2v.download(asset.name) == SOUND


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"upload_id": "none"}, "give a UUID"),
        ({"size_bytes": 0}, "is missing"),
        ({"media_type": "text/plain"}, "give image"),
        ({"media_type": "image/*", "size_bytes": 11_000_000}, "at most 10000000"),
    ],
)
async def test_a_wrong_header_is_refused_before_any_byte(i2v: Served, changes: dict[str, object], message: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError, match=message) as refused:
        await write(i2v, a_header(SOUND, **changes), SOUND)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_an_id_belongs_to_one_file_of_one_user(i2v: Served) -> None:
    await write(i2v, a_header(PICTURE, "image/*"), PICTURE)
    with pytest.raises(grpc.aio.AioRpcError, match="belongs to another file"):
        await write(i2v, a_header(SOUND), SOUND)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await status(i2v, a_header(PICTURE).upload_id, user="bob")
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND
    asset = await write(i2v, a_header(SOUND), SOUND, user="bob")
    assert await i2v.download(asset.name, user="bob") == SOUND


async def test_another_file_than_announced_leaves_nothing(i2v: Served, tmp_path: Path) -> None:
    header = a_header(SOUND)
    with pytest.raises(grpc.aio.AioRpcError, match="SHA-256"):
        await write(i2v, header, SOUND[:-1] + bytes([SOUND[-1] ^ 1]))
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await status(i2v, header.upload_id)
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND
    assert not [path for path in tmp_path.rglob("uploads/*") if path.is_file()]


async def test_more_bytes_than_announced_are_refused(i2v: Served) -> None:
    with pytest.raises(grpc.aio.AioRpcError, match="is more than the"):
        await write(i2v, a_header(SOUND), SOUND + b"0")


async def test_a_direct_upload_needs_a_store_that_takes_forms(i2v: Served) -> None:
    request = asset_pb2.CreateDirectUploadRequest(header=a_header(SOUND))
    with pytest.raises(grpc.aio.AioRpcError, match="Use WriteAsset") as refused:
        await i2v.assets.CreateDirectUpload(request, metadata=caller())
    assert refused.value.code() is grpc.StatusCode.FAILED_PRECONDITION


async def test_an_unfinished_upload_disappears_after_a_day(i2v: Served, tmp_path: Path) -> None:
    header = a_header(SOUND)
    with pytest.raises(grpc.aio.AioRpcError):
        await write(i2v, header, SOUND[:100_000])
    assert [path for path in tmp_path.rglob("uploads/*") if path.is_file()]
    uploads, now = i2v.app.store.uploads, SystemClock().now()
    blobs = LocalBlobs(tmp_path / "blobs")
    try:
        removal = OldUploads(uploads, UploadParts(uploads, blobs).discard)
        assert (await removal.due(now)).count == 1
        assert [count async for count in removal.batches(now)] == [1]
    finally:
        await blobs.close()
    assert not [path for path in tmp_path.rglob("uploads/*") if path.is_file()]
    with pytest.raises(grpc.aio.AioRpcError):
        await status(i2v, header.upload_id)


@pytest.mark.parametrize(("offset", "length"), [(0, 1), (10, 300_000), (len(SOUND) - 5, 10), (len(SOUND), 3), (7, 0)])
async def test_a_part_of_an_asset_is_read(i2v: Served, offset: int, length: int) -> None:
    asset = await i2v.upload(SOUND, "audio/wav")
    request = asset_pb2.ReadAssetRequest(name=asset.name, offset=offset, length=length)
    read = b"".join([answer.data async for answer in i2v.assets.ReadAsset(request, metadata=caller())])
    assert read == (SOUND[offset : offset + length] if length else SOUND[offset:])


@pytest.mark.parametrize(("offset", "length"), [(-1, 0), (0, -1), (len(SOUND) + 1, 0)])
async def test_a_part_outside_the_asset_is_refused(i2v: Served, offset: int, length: int) -> None:
    asset = await i2v.upload(SOUND, "audio/wav")
    request = asset_pb2.ReadAssetRequest(name=asset.name, offset=offset, length=length)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        _ = [answer async for answer in i2v.assets.ReadAsset(request, metadata=caller())]
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
