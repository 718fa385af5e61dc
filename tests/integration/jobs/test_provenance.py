"""How videos were made, and checks of files, through the server and the command."""

import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from i2v.v1 import provenance_pb2, provenance_pb2_grpc

from services.client.exit_codes import ExitCode
from services.orchestrator.domain.spec import Size
from services.orchestrator.media.signing_certificate import development
from services.orchestrator.media.video_writer import VideoWriter
from tests.support.builders import ScriptedBackend, some_frames
from tests.support.client_command import Command
from tests.support.served_orchestrator import Served, caller, image_spec, text_spec
from tests.support.signed_files import a_video, signed_with_any_facts

CAT = Path("tests/golden/cat.png").read_bytes()
Verification = provenance_pb2.Verification


def stub(i2v: Served) -> Any:
    return provenance_pb2_grpc.ProvenanceServiceStub(i2v.channel)


async def manifest(i2v: Served, asset: str, **who: str) -> provenance_pb2.Manifest:
    return await stub(i2v).GetManifest(provenance_pb2.GetManifestRequest(name=asset), metadata=caller(**who))


async def verify(i2v: Served, *parts: bytes | str, **who: str) -> Verification:
    async def requests() -> AsyncIterator[provenance_pb2.VerifyAssetRequest]:
        for part in parts:
            named = isinstance(part, str)
            yield provenance_pb2.VerifyAssetRequest(**{"name" if named else "data": part})

    return await stub(i2v).VerifyAsset(requests(), metadata=caller(**who))


async def test_a_finished_video_says_how_it_was_made(i2v: Served) -> None:
    picture = await i2v.upload(CAT)
    job = await i2v.ended((await i2v.submit(image_spec(picture.name, seed=2**62 + 1))).name)
    found = await manifest(i2v, job.output.asset)
    body = json.loads(found.json)
    assert (found.signed, body["job"], body["seed"], body["prompt"]) == (True, job.name, 2**62 + 1, "it moves")
    assert body["parents"] == [{"role": "image", "asset": picture.name}]
    assert body["model"]["id"] == "test-model" and body["prompt_written_by"] == "the caller"
    assert body["certificate"]["development"]
    assert (body["asset"], body["frames"], body["size_bytes"]) == (job.output.asset, 8, job.output.size_bytes)

    checked = await verify(i2v, job.output.asset)
    assert (checked.verdict, checked.signer) == (Verification.GENUINE, Verification.DEVELOPMENT)
    assert (checked.asset, checked.generated, list(checked.faults)) == (job.output.asset, True, [])


async def test_what_leaves_with_the_file_names_nobody_and_no_prompt(i2v: Served) -> None:
    job = await i2v.ended((await i2v.submit(text_spec("a secret wish"))).name)
    data = await i2v.download(job.output.asset)
    facts = json.loads((await verify(i2v, data)).facts_json)
    assert facts["unsigned_sha256"] == (await manifest(i2v, job.output.asset)).unsigned_sha256
    for secret in ("studio", "ann", job.name.removeprefix("jobs/"), "secret wish"):
        assert secret.encode() not in data
        assert secret not in json.dumps(facts)


async def test_equal_jobs_make_equal_frames_and_equal_bytes_before_they_are_signed(i2v: Served) -> None:
    spec = text_spec(seed=5)
    first, second = [await i2v.ended((await i2v.submit(spec)).name) for _ in range(2)]
    assert first.output.asset != second.output.asset
    one, other = [await manifest(i2v, each.output.asset) for each in (first, second)]
    assert one.unsigned_sha256 == other.unsigned_sha256
    third = await i2v.ended((await i2v.submit(text_spec(seed=6))).name)
    assert (await manifest(i2v, third.output.asset)).unsigned_sha256 != one.unsigned_sha256


async def test_an_altered_video_and_one_of_a_stranger_are_told_apart(i2v: Served, tmp_path: Path) -> None:
    job = await i2v.ended((await i2v.submit(text_spec())).name)
    data = bytearray(await i2v.download(job.output.asset))
    data[-1] ^= 1
    altered = await verify(i2v, bytes(data[:5000]), bytes(data[5000:]))
    assert (altered.verdict, altered.asset) == (Verification.ALTERED, "")
    assert altered.sha256 == hashlib.sha256(data).hexdigest()
    theirs = signed_with_any_facts(development(b"t" * 32), a_video(tmp_path / "their.mp4"), {"model": "nano"})
    foreign = await verify(i2v, theirs.read_bytes())
    assert (foreign.verdict, foreign.signer) == (Verification.FOREIGN, Verification.STRANGER)
    assert (await verify(i2v, CAT)).verdict == Verification.UNSIGNED


async def test_a_check_says_whether_the_pixels_of_a_video_carry_the_mark(i2v: Served, tmp_path: Path) -> None:
    for marked, found in ((True, Verification.PRESENT), (False, Verification.ABSENT)):
        writer = VideoWriter(224, 128, 16, marked=marked)
        writer.add(some_frames(16, Size(224, 128)))
        writer.finish(tmp_path / "video.mp4")
        checked = await verify(i2v, (tmp_path / "video.mp4").read_bytes())
        assert (checked.pixel_mark, checked.verdict) == (found, Verification.UNSIGNED)
    assert (await verify(i2v, CAT)).pixel_mark == Verification.PIXEL_MARK_UNSPECIFIED


async def test_manifests_and_checks_of_others_assets_are_not_found(i2v: Served) -> None:
    job = await i2v.ended((await i2v.submit(text_spec())).name)
    picture = await i2v.upload(CAT)
    for call in (
        manifest(i2v, job.output.asset, user="bob"),
        manifest(i2v, picture.name),
        verify(i2v, job.output.asset, tenant="story"),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call
        assert refused.value.code() is grpc.StatusCode.NOT_FOUND
    data = await i2v.download(job.output.asset)
    checked = await verify(i2v, data, user="bob")  # who has the bytes may check them, and learns no name
    assert (checked.verdict, checked.asset) == (Verification.GENUINE, "")


@pytest.mark.parametrize("parts", [(), ("assets/" + "a" * 64, b"x"), (b"x", "assets/" + "a" * 64)])
async def test_a_check_of_both_or_of_nothing_is_refused(i2v: Served, parts: tuple[bytes | str, ...]) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await verify(i2v, *parts)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_the_command_verifies_and_makes_a_video_again(
    i2v: Served, backend: ScriptedBackend, tmp_path: Path
) -> None:
    command = Command(i2v.address, tmp_path)
    who = {"key": "studio-key", "I2V_USER": "ann"}
    job = await i2v.ended((await i2v.submit(text_spec())).name)
    data = await i2v.download(job.output.asset)
    (tmp_path / "video.mp4").write_bytes(data)
    (tmp_path / "altered.mp4").write_bytes(data[:-1] + bytes([data[-1] ^ 1]))

    genuine = await command("verify", "video.mp4", **who)
    assert (genuine.code, genuine.out.splitlines()[0][:8]) == (ExitCode.OK, "Genuine:")
    altered = await command("verify", "altered.mp4", **who)
    assert (altered.code, altered.out[:7]) == (ExitCode.DIFFERENT, "ALTERED")
    shown = await command("manifest", job.output.asset, **who)
    assert json.loads(shown.out)["job"] == job.name

    again = await command("rerun", job.name, "--json", **who)
    said = json.loads(again.out.splitlines()[-1])
    assert (again.code, said["sameFrames"], said["sameUnsignedBytes"]) == (ExitCode.OK, True, True)
    backend.frames = lambda total, size, seed: some_frames(total, size, seed + 1)
    changed = await command("rerun", job.name, **who)
    assert changed.code == ExitCode.DIFFERENT
    assert "frame 0" in changed.out and "before signing are different" in changed.out
