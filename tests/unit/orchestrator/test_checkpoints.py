"""Checkpoints between attempts: in order, without gaps, and gone with the job."""

from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from services.orchestrator.attempt.checkpoints import Checkpoints
from services.orchestrator.attempt.signed_outputs import SignedOutputs
from services.orchestrator.domain.event import FragmentReady
from services.orchestrator.domain.fragments import Fragments
from services.orchestrator.metrics import PrometheusMeter
from services.orchestrator.ports.backend import Checkpoint
from tests.support.builders import a_job
from tests.support.memory_blobs import MemoryBlobs, RecordedAssets


@pytest.fixture
def blobs() -> MemoryBlobs:
    return MemoryBlobs()


def checkpoints(blobs: MemoryBlobs, attempt: int) -> Checkpoints:
    job = replace(a_job(), attempt=attempt)
    return Checkpoints(blobs, PrometheusMeter(CollectorRegistry()), job, SignedOutputs(blobs, RecordedAssets()))


def numbered(index: int) -> Checkpoint:
    return Checkpoint(index, b"%d" % index)


async def test_the_next_attempt_finds_what_the_first_left(blobs: MemoryBlobs, tmp_path: Path) -> None:
    first = checkpoints(blobs, 1)
    for index in range(3):
        await first.save(numbered(index), tmp_path)
    assert await checkpoints(blobs, 2).load() == (b"0", b"1", b"2")


async def test_checkpoints_after_a_gap_are_not_used(blobs: MemoryBlobs, tmp_path: Path) -> None:
    first = checkpoints(blobs, 1)
    for index in range(3):
        await first.save(numbered(index), tmp_path)
    await blobs.delete(sorted(blobs.stored)[1])
    assert await checkpoints(blobs, 2).load() == (b"0",)


async def test_a_first_attempt_looks_for_nothing(blobs: MemoryBlobs) -> None:
    blobs.away = True
    assert await checkpoints(blobs, 1).load() == ()


async def test_a_checkpoint_that_could_not_be_stored_comes_with_the_next(blobs: MemoryBlobs, tmp_path: Path) -> None:
    first = checkpoints(blobs, 1)
    await first.save(numbered(0), tmp_path)
    blobs.away = True
    await first.save(numbered(1), tmp_path)
    blobs.away = False
    await first.save(numbered(2), tmp_path)
    assert await checkpoints(blobs, 2).load() == (b"0", b"1", b"2")


async def test_all_checkpoints_of_an_ended_job_are_removed(blobs: MemoryBlobs, tmp_path: Path) -> None:
    first = checkpoints(blobs, 1)
    for index in range(3):
        await first.save(numbered(index), tmp_path)
    await checkpoints(blobs, 2).discard()
    assert blobs.stored == {}
    await first.save(numbered(3), tmp_path)  # it was suspended until after the end
    await first.discard()
    assert blobs.stored == {}


async def test_an_unavailable_store_at_the_end_fails_no_job(blobs: MemoryBlobs) -> None:
    blobs.away = True
    await checkpoints(blobs, 1).discard()


async def test_no_checkpoint_is_searched_for_a_job_that_never_began(blobs: MemoryBlobs) -> None:
    blobs.away = True
    await checkpoints(blobs, 0).discard()


def a_fragment(index: int, asset: str = "a", frames: int = 4) -> FragmentReady:
    return FragmentReady(index, asset * 64, frames, 99, 0.5)


def test_a_fragment_replaces_that_of_its_index_and_all_after_it() -> None:
    fragments = Fragments.of([a_fragment(0), a_fragment(1), a_fragment(2), a_fragment(1, "b", 3)])
    assert [(each.index, each.asset[0]) for each in fragments.items] == [(0, "a"), (1, "b")]
    assert fragments.frames == 7


def test_a_fragment_is_identified_by_its_index_and_its_bytes() -> None:
    fragments = Fragments.of([a_fragment(0), a_fragment(1)])
    assert fragments.contains(a_fragment(1))
    assert not fragments.contains(a_fragment(1, "b"))
    assert not fragments.contains(a_fragment(2))
