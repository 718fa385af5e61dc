"""A scrub finds what is missing, altered or stored for nothing, and continues where it was stopped."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from i2v.admin.v1 import blob_pb2, blob_pb2_grpc
from i2v.v1 import asset_pb2

from services.orchestrator.assets.scrub import Fault, Phase, Scrub
from services.orchestrator.blobs.local import LocalBlobs
from services.orchestrator.clock_and_ids import SystemClock
from services.orchestrator.store.blob_references import PostgresBlobReferences
from tests.integration.tenants.conftest import FIRST_OPERATOR
from tests.support.builders import ScriptedBackend
from tests.support.client_command import Command
from tests.support.pictures import a_picture
from tests.support.served_orchestrator import Served, caller, served

FAST = 10**12


@pytest.fixture
async def i2v(database: str, tmp_path: Path) -> AsyncIterator[Served]:
    (tmp_path / "operator-key").write_text(FIRST_OPERATOR + "\n")

    def change(values: dict[str, object]) -> None:
        values["operator_key_file"] = str(tmp_path / "operator-key")

    async with served(database, tmp_path, {"test": (ScriptedBackend(), 2)}, change=change) as running:
        yield running


async def three_assets(i2v: Served, tmp_path: Path) -> list[Path]:
    """Uploads three pictures; returns the files of their bytes, in the order of a scrub."""
    assets = [await i2v.upload(a_picture(64 + 16 * number)) for number in range(3)]
    folder = tmp_path / "blobs" / "tenants" / "studio" / "assets"
    return sorted(folder / asset.name.removeprefix("assets/") for asset in assets)


def damage(files: list[Path]) -> Path:
    """Removes the first, changes a bit of the second, and adds old bytes that belong to nothing."""
    files[0].unlink()
    data = bytearray(files[1].read_bytes())
    data[-1] ^= 1
    files[1].write_bytes(data)
    stray = files[1].parent / ("f" * 64)
    stray.write_bytes(b"stray")
    os.utime(stray, (1e9, 1e9))
    return stray


def key(file: Path) -> str:
    return f"tenants/studio/assets/{file.name}"


async def test_a_scrub_names_what_is_missing_altered_or_unreferenced(i2v: Served, tmp_path: Path) -> None:
    files = await three_assets(i2v, tmp_path)
    stub = blob_pb2_grpc.BlobServiceStub(i2v.channel)

    async def found(**request: object) -> list[tuple[int, str]]:
        answers = stub.ScrubBlobs(blob_pb2.ScrubBlobsRequest(**request), metadata=caller(key=FIRST_OPERATOR))
        return [(each.fault, each.key) async for each in answers if each.fault]

    assert await found() == []
    stray, answer = damage(files), blob_pb2.ScrubBlobsResponse
    missing, altered = (answer.MISSING, key(files[0])), (answer.ALTERED, key(files[1]))
    unreferenced = (answer.UNREFERENCED, key(stray))
    assert await found() == [missing, altered, unreferenced]
    counted = [
        i2v.registry.get_sample_value("i2v_scrub_faults_total", {"fault": fault})
        for fault in ("missing", "altered", "unreferenced")
    ]
    assert counted == [1, 1, 1]
    # The first scrub read and listed three, the second read three and listed three: two of the assets and the stray.
    assert i2v.registry.get_sample_value("i2v_scrub_blobs_total") == 12
    assert await found(phase=answer.READING, key=key(files[0])) == [altered, unreferenced]
    assert await found(phase=answer.READING, key=key(files[1])) == [unreferenced]
    assert await found(phase=answer.LISTING) == [unreferenced]
    assert await found(phase=answer.LISTING, key=key(stray)) == []
    assert stray.exists()


async def test_young_bytes_without_a_row_may_be_those_of_an_upload_under_way(i2v: Served, tmp_path: Path) -> None:
    stray = damage(await three_assets(i2v, tmp_path))
    os.utime(stray)
    blobs = LocalBlobs(tmp_path / "blobs")
    references, clock = PostgresBlobReferences(i2v.app.store.database), SystemClock()
    scrub = Scrub(blobs, references, clock)
    looked = [each async for each in scrub.run(Phase.LISTING, "", bytes_per_second=FAST)]
    assert key(stray) in [each.key for each in looked]
    assert [each.fault for each in looked if each.fault] == []
    assert Fault.UNREFERENCED not in [each.fault for each in looked]
    await blobs.close()


async def test_the_command_lists_the_faults_and_fails(i2v: Served, tmp_path: Path) -> None:
    files = await three_assets(i2v, tmp_path)
    command = Command(i2v.address, tmp_path)
    good = await command("admin", "blobs", "scrub", key=FIRST_OPERATOR)
    assert (good.code, good.out.splitlines()[-1]) == (0, "6 keys looked at; 0 missing or altered.")
    stray = damage(files)
    bad = await command("admin", "blobs", "scrub", key=FIRST_OPERATOR)
    assert bad.code == 1
    assert bad.out.splitlines() == [
        f"missing: {key(files[0])}",
        f"altered: {key(files[1])}",
        f"unreferenced: {key(stray)}",
        "6 keys looked at; 2 missing or altered.",
    ]


async def test_renditions_belong_to_their_asset(i2v: Served, tmp_path: Path) -> None:
    asset = await i2v.upload(a_picture())
    request = asset_pb2.ReadAssetRequest(name=asset.name, variant="thumbnail-128")
    assert [answer async for answer in i2v.assets.ReadAsset(request, metadata=caller())]
    folder = tmp_path / "blobs" / "tenants" / "studio" / "renditions"
    lost = folder / f"{'f' * 64}.thumbnail-128"
    lost.write_bytes(b"of an asset that is not there")
    for file in folder.iterdir():
        os.utime(file, (1e9, 1e9))
    answers = blob_pb2_grpc.BlobServiceStub(i2v.channel).ScrubBlobs(
        blob_pb2.ScrubBlobsRequest(), metadata=caller(key=FIRST_OPERATOR)
    )
    assert [each.key async for each in answers if each.fault] == [f"tenants/studio/renditions/{lost.name}"]
