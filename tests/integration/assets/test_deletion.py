"""Deletion and restoring, through the real service and the command."""

from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from i2v.v1 import asset_pb2

from tests.support.builders import ScriptedBackend
from tests.support.client_command import Command
from tests.support.pictures import a_picture
from tests.support.served_orchestrator import Served, caller, image_spec, served, text_spec


@pytest.fixture
async def i2v(database: str, tmp_path: Path) -> AsyncIterator[Served]:
    async with served(database, tmp_path, {"test": (ScriptedBackend(), 1)}) as running:
        yield running


async def is_found(i2v: Served, name: str, **fields: object) -> bool:
    try:
        await i2v.assets.GetAsset(asset_pb2.GetAssetRequest(name=name, **fields), metadata=caller())
    except grpc.aio.AioRpcError as error:
        assert error.code() is grpc.StatusCode.NOT_FOUND
        return False
    return True


async def is_read(i2v: Served, name: str, **fields: str) -> bool:
    request = asset_pb2.ReadAssetRequest(name=name, **fields)
    try:
        return bool([answer async for answer in i2v.assets.ReadAsset(request, metadata=caller())])
    except grpc.aio.AioRpcError as error:
        assert error.code() is grpc.StatusCode.NOT_FOUND
        return False


async def test_nothing_of_an_asset_in_the_trash_is_readable_until_it_is_restored(i2v: Served) -> None:
    name = (await i2v.upload(a_picture())).name
    assert await is_read(i2v, name, variant="thumbnail-128")
    deleted = await i2v.assets.DeleteAsset(asset_pb2.DeleteAssetRequest(name=name), metadata=caller())
    assert deleted.HasField("delete_time")
    assert not await is_read(i2v, name)
    assert not await is_read(i2v, name, variant="thumbnail-128")
    assert not await is_found(i2v, name)
    assert await is_found(i2v, name, show_deleted=True)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await i2v.submit(image_spec(name))
    assert refused.value.code() in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT)
    await i2v.assets.RestoreAsset(asset_pb2.RestoreAssetRequest(name=name), metadata=caller())
    assert await is_read(i2v, name) and await is_read(i2v, name, variant="thumbnail-128")


async def test_a_video_goes_with_its_fragments(i2v: Served) -> None:
    job = await i2v.submit(text_spec())
    fragments = [
        f"assets/{event.fragment_ready.asset.removeprefix('assets/')}"
        async for event in i2v.watch(job.name)
        if event.WhichOneof("event") == "fragment_ready"
    ]
    video = (await i2v.job(job.name)).output.asset
    assert fragments and all([await is_read(i2v, name) for name in (*fragments, video)])
    await i2v.assets.DeleteAsset(asset_pb2.DeleteAssetRequest(name=video), metadata=caller())
    assert not any([await is_read(i2v, name) for name in (*fragments, video)])


async def test_the_command_deletes_restores_and_empties_the_trash(i2v: Served, tmp_path: Path) -> None:
    name = (await i2v.upload(a_picture())).name
    command = Command(i2v.address, tmp_path)
    who = {"key": "studio-key", "I2V_USER": "ann"}
    assert (await command("assets", "rm", name, **who)).code == 0
    assert not await is_found(i2v, name)
    assert (await command("assets", "restore", name, **who)).code == 0
    assert await is_found(i2v, name)
    assert (await command("assets", "rm", name, **who)).code == 0
    emptied = await command("assets", "empty-trash", **who)
    assert emptied.code == 0, emptied.err
    assert not await is_found(i2v, name, show_deleted=True)
    ended = await command("assets", "rm", name, **who)
    assert ended.code == 6, ended.err


async def test_deletions_and_restores_are_counted_once(i2v: Served) -> None:
    asset = await i2v.upload(a_picture())
    for _ in range(2):
        await i2v.assets.DeleteAsset(asset_pb2.DeleteAssetRequest(name=asset.name), metadata=caller())
    for _ in range(2):
        await i2v.assets.RestoreAsset(asset_pb2.RestoreAssetRequest(name=asset.name), metadata=caller())
    await i2v.assets.DeleteAsset(asset_pb2.DeleteAssetRequest(name=asset.name, permanent=True), metadata=caller())
    counted = {
        step: i2v.registry.get_sample_value("i2v_library_deletions_total", {"step": step})
        for step in ("trashed", "restored", "purged")
    }
    assert counted == {"trashed": 1, "restored": 1, "purged": 1}
    assert i2v.registry.get_sample_value("i2v_library_given_back_bytes_total") == asset.size_bytes
