"""Pictures of videos through the server and the command: those of a job's video say that it was generated."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from i2v.v1 import asset_pb2, provenance_pb2, provenance_pb2_grpc

from services.client.exit_codes import ExitCode
from tests.support.builders import ScriptedBackend
from tests.support.client_command import Command
from tests.support.served_orchestrator import Served, caller, served, text_spec
from tests.support.signed_files import a_video

Verification = provenance_pb2.Verification


@pytest.fixture
async def i2v(database: str, tmp_path: Path) -> AsyncIterator[Served]:
    async with served(database, tmp_path / "data", {"test": (ScriptedBackend(), 1)}) as running:
        yield running


async def variant(i2v: Served, name: str, variant: str) -> bytes:
    request = asset_pb2.ReadAssetRequest(name=name, variant=variant)
    return b"".join([answer.data async for answer in i2v.assets.ReadAsset(request, metadata=caller())])


async def verify(i2v: Served, data: bytes) -> Verification:
    async def requests() -> AsyncIterator[provenance_pb2.VerifyAssetRequest]:
        yield provenance_pb2.VerifyAssetRequest(data=data)

    stub: Any = provenance_pb2_grpc.ProvenanceServiceStub(i2v.channel)
    return await stub.VerifyAsset(requests(), metadata=caller())


async def test_a_poster_of_a_jobs_video_is_genuine_and_names_the_video(i2v: Served, tmp_path: Path) -> None:
    job = await i2v.ended((await i2v.submit(text_spec())).name)
    poster = await variant(i2v, job.output.asset, "poster")
    found = await verify(i2v, poster)
    assert (found.verdict, found.generated, found.pixel_mark) == (
        Verification.GENUINE,
        True,
        Verification.PIXEL_MARK_UNSPECIFIED,
    )
    facts = json.loads(found.facts_json)
    assert (facts["variant"], f"assets/{facts['video_sha256']}") == ("poster", job.output.asset)

    (tmp_path / "poster.jpg").write_bytes(poster)
    (tmp_path / "altered.jpg").write_bytes(poster[:-20] + bytes([poster[-20] ^ 1]) + poster[-19:])
    command, who = Command(i2v.address, tmp_path), {"key": "studio-key", "I2V_USER": "ann"}
    genuine = await command("verify", "poster.jpg", **who)
    assert genuine.code == ExitCode.OK
    assert genuine.out.startswith("Genuine:") and ["variant", "poster"] in map(str.split, genuine.out.splitlines())
    altered = await command("verify", "altered.jpg", **who)
    assert (altered.code, altered.out[:7]) == (ExitCode.DIFFERENT, "ALTERED")


async def test_a_poster_of_an_upload_says_nothing(i2v: Served, tmp_path: Path) -> None:
    video = await i2v.upload(a_video(tmp_path / "video.mp4").read_bytes(), "video/mp4")
    assert (await verify(i2v, await variant(i2v, video.name, "poster"))).verdict == Verification.UNSIGNED
