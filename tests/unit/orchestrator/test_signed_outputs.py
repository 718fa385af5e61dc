"""Files that a job has signed: used again by the next attempt, and removed at the end if no asset names them."""

from dataclasses import replace
from pathlib import Path

import pytest

from services.orchestrator.attempt.output_signing import OutputSigning
from services.orchestrator.attempt.signed_outputs import SignedOutputs
from services.orchestrator.domain.content_credentials import Identity
from services.orchestrator.domain.job import Job
from services.orchestrator.domain.media_info import VideoInfo
from services.orchestrator.domain.signed_output import SignedOutput, note_key
from services.orchestrator.media.content_credentials import ContentCredentials
from services.orchestrator.media.signing_certificate import development
from tests.support.builders import FakeClock, a_card, a_job
from tests.support.memory_blobs import MemoryBlobs, RecordedAssets

FIRST, SECOND = replace(a_job(), attempt=1), replace(a_job(), attempt=2)
OURS = Identity("i2v", "7", "c" * 64, True)


@pytest.fixture
def blobs() -> MemoryBlobs:
    return MemoryBlobs()


@pytest.fixture
def recorded() -> RecordedAssets:
    return RecordedAssets()


@pytest.fixture
def outputs(blobs: MemoryBlobs, recorded: RecordedAssets) -> SignedOutputs:
    return SignedOutputs(blobs, recorded)


async def stored(outputs: SignedOutputs, blobs: MemoryBlobs, job: Job, name: str, folder: Path) -> SignedOutput:
    """Notes and stores a file as an attempt does that dies before it records it."""
    signed = SignedOutput("studio", name * 64, 5, "d" * 64, OURS)
    await outputs.note(job, signed, folder)
    blobs.stored[signed.key] = b"video"
    return signed


async def test_the_next_attempt_uses_what_the_first_signed(
    outputs: SignedOutputs, blobs: MemoryBlobs, tmp_path: Path
) -> None:
    first = await stored(outputs, blobs, FIRST, "a", tmp_path)
    assert await outputs.earlier(SECOND, "d" * 64) == first
    assert await outputs.earlier(SECOND, "e" * 64) is None


async def test_a_file_that_was_noted_and_not_stored_is_not_used(
    outputs: SignedOutputs, blobs: MemoryBlobs, tmp_path: Path
) -> None:
    first = await stored(outputs, blobs, FIRST, "a", tmp_path)
    del blobs.stored[first.key]
    assert await outputs.earlier(SECOND, "d" * 64) is None


async def test_the_end_of_the_job_removes_what_no_asset_names(
    outputs: SignedOutputs, blobs: MemoryBlobs, recorded: RecordedAssets, tmp_path: Path
) -> None:
    await stored(outputs, blobs, FIRST, "a", tmp_path)
    second = await stored(outputs, blobs, SECOND, "b", tmp_path)
    recorded.recorded.add(second.sha256)
    await outputs.discard(SECOND)
    assert list(blobs.stored) == [second.key]


async def test_a_blob_store_that_is_away_at_the_end_loses_nothing(
    outputs: SignedOutputs, blobs: MemoryBlobs, tmp_path: Path
) -> None:
    first = await stored(outputs, blobs, FIRST, "a", tmp_path)
    blobs.away = True
    await outputs.discard(FIRST)
    assert set(blobs.stored) == {first.key, note_key(FIRST.id)}


async def test_a_damaged_note_says_nothing(outputs: SignedOutputs, blobs: MemoryBlobs) -> None:
    blobs.stored[note_key(SECOND.id)] = b"[{}]"
    assert await outputs.earlier(SECOND, "d" * 64) is None
    await outputs.discard(SECOND)
    assert blobs.stored == {}


async def test_a_video_that_is_too_large_is_delivered_unsigned_and_its_manifest_says_why(
    outputs: SignedOutputs, blobs: MemoryBlobs, tmp_path: Path
) -> None:
    path = tmp_path / "video.mp4"
    path.write_bytes(b"a large video")
    signing = OutputSigning(ContentCredentials(development(b"a" * 32), "0.1.0", most_bytes=12), outputs, FakeClock())
    info = VideoInfo("video/mp4", 64, 32, 8, 8.0, 1.0)
    finished = await signing.finish(FIRST, a_card(), info, path, "d" * 64, promised={}, made_with={})
    assert (finished.path, finished.asset.sha256, finished.asset.size_bytes) == (path, "d" * 64, 13)
    assert finished.unsigned_because == "it is 13 bytes; at most 12 are signed"
    assert finished.manifest.body["signed"] is False
    assert finished.manifest.body["unsigned_because"] == finished.unsigned_because
    assert not blobs.stored
