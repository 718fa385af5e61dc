"""Files that a job has signed: used again by the next attempt, and removed at the end if no asset names them."""

from dataclasses import replace
from pathlib import Path

import pytest

from services.orchestrator.attempt.signed_outputs import SignedOutputs
from services.orchestrator.domain.content_credentials import Identity
from services.orchestrator.domain.job import Job
from services.orchestrator.domain.signed_output import SignedOutput, note_key
from tests.support.builders import a_job
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
