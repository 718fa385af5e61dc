"""Calls of a batch one after another: nothing is made twice, and no change of the input is paid for unnoticed."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from i2v.v1 import job_pb2

from services.client.batch.item import State
from services.client.batch.journal import Journal
from services.client.batch.row import BadInput
from tests.support.batch_rig import BatchRig
from tests.support.batch_service import PRICE


@pytest.fixture
def batch(tmp_path: Path) -> BatchRig:
    (tmp_path / "cat.png").write_bytes(b"a cat")
    file = tmp_path / "in.csv"
    file.write_text("prompt,image\none,cat.png\ntwo,\nthree,cat.png\n")
    return BatchRig.at(tmp_path, file)


def write(batch: BatchRig, *lines: str) -> None:
    batch.source.path.write_text("\n".join(("prompt,image", *lines)))


async def test_each_row_is_made_once_and_a_picture_is_uploaded_once(batch: BatchRig) -> None:
    batch.at_once = 1
    assert (await batch.call()).of(State.DONE) == 3
    assert set(batch.videos()) == {"one-0.mp4", "two-0.mp4", "three-0.mp4"}
    assert (batch.service.paid, batch.service.uploads) == (3 * PRICE, 1)
    assert (await batch.call()).of(State.DONE) == 3
    assert (batch.service.paid, batch.service.uploads, batch.made) == (3 * PRICE, 1, [])


async def test_rows_that_move_and_come_are_not_paid_for_again(batch: BatchRig) -> None:
    await batch.call()
    write(batch, "zero,", "three,cat.png", "two,", "one,cat.png")
    await batch.call()
    assert [made.item.prompt for made in batch.made] == ["zero"]
    assert batch.service.paid == 4 * PRICE


async def test_rows_that_only_go_are_no_reason_to_stop(batch: BatchRig) -> None:
    await batch.call()
    write(batch, "two,")
    assert (await batch.call()).states == {State.DONE: 1}
    assert batch.service.paid == 3 * PRICE


@pytest.mark.parametrize("change", ["prompt", "picture"])
async def test_a_changed_row_is_paid_for_only_if_the_caller_says_so(batch: BatchRig, change: str) -> None:
    await batch.call()
    if change == "prompt":
        write(batch, "one!,cat.png", "two,", "three,cat.png")
    else:
        (batch.source.root / "cat.png").write_bytes(b"another cat")
    for _ in range(2):
        with pytest.raises(BadInput, match="the input or an option has changed"):
            await batch.call()
    new = 1 if change == "prompt" else 2
    assert (await batch.call(accept_changes=True)).of(State.DONE) == 3
    assert batch.service.paid == (3 + new) * PRICE
    assert (await batch.call()).of(State.DONE) == 3 and not batch.made
    if change == "picture":
        assert {"one-0.mp4", "one-0 (2).mp4"} <= set(batch.videos())


async def test_a_picture_that_was_only_copied_again_is_no_change(batch: BatchRig) -> None:
    await batch.call()
    os.utime(batch.source.root / "cat.png", ns=(1, 1))
    await batch.call()
    assert batch.service.paid == 3 * PRICE


async def test_a_made_video_no_longer_needs_its_picture(batch: BatchRig) -> None:
    await batch.call()
    (batch.source.root / "cat.png").unlink()
    totals = await batch.call()
    assert (totals.of(State.DONE), totals.faults) == (3, 0)


async def test_a_video_that_is_gone_is_fetched_and_not_made_again(batch: BatchRig) -> None:
    await batch.call()
    (batch.folder.root / "one-0.mp4").unlink()
    assert (await batch.call()).of(State.DONE) == 3
    assert len(batch.made) == 1 and batch.service.paid == 3 * PRICE


async def test_equal_rows_and_names_have_files_of_their_own(batch: BatchRig) -> None:
    write(batch, "same,", "same,", "SAME,", "same-0 (2),")
    batch.folder.root.mkdir()
    (batch.folder.root / "same-0.mp4").write_bytes(b"the caller's own")
    await batch.call()
    assert set(batch.videos()) == {
        *("same-0.mp4", "same-0 (2).mp4", "same-0 (3).mp4", "SAME-0 (4).mp4", "same-0 (2)-0.mp4"),
    }
    assert batch.videos()["same-0.mp4"] == b"the caller's own"
    await batch.call()
    assert batch.service.paid == 4 * PRICE


async def test_samples_have_seeds_of_their_own(batch: BatchRig) -> None:
    batch.naming = replace(batch.naming, samples=2, seed=2**63 - 1, with_index=True)
    await batch.call()
    assert {job.spec.seed for job in batch.service.jobs.values()} == {2**63 - 1, 0}
    assert set(batch.videos()) == {f"{row}-{sample}_regular.mp4" for row in range(3) for sample in range(2)}


async def test_rows_that_cannot_be_made_do_not_keep_the_others_back(batch: BatchRig) -> None:
    write(batch, "one,gone.png", "two,../secret.png", ",", "four,cat.png", "five,a,b")
    totals = await batch.call()
    assert (totals.of(State.DONE), totals.faults) == (1, 3)


@pytest.mark.parametrize(("error", "paid", "made"), [("retryable", 4, 3), ("resumable", 3, 3), ("final", 3, 2)])
async def test_a_failed_job_is_made_fetched_or_left_alone(batch: BatchRig, error: str, paid: int, made: int) -> None:
    failure = job_pb2.JobError(
        reason="ENGINE_FAILED", message="It broke.", **({error: True} if error != "final" else {})
    )
    batch.service.fails["two"] = failure
    totals = await batch.call()
    assert (totals.of(State.DONE), totals.of(State.FAILED)) == (2, 1)
    assert next(made.problem for made in batch.made if made.problem).startswith("jobs/")
    totals = await batch.call()
    assert (totals.of(State.DONE), batch.service.paid) == (made, paid * PRICE)
    assert totals.charged == {"USD": paid * PRICE}


async def test_a_picture_that_the_service_has_lost_is_uploaded_again(batch: BatchRig) -> None:
    batch.service.fails["one"] = job_pb2.JobError(reason="X", message="It broke.", retryable=True)
    await batch.call()
    batch.service.pictures.clear()
    assert (await batch.call()).of(State.DONE) == 3


async def test_a_file_that_has_the_name_of_a_video_is_not_overwritten(batch: BatchRig) -> None:
    await batch.call()
    (batch.folder.root / "one-0.mp4").unlink()
    (batch.folder.root / "one-0.mp4").symlink_to(batch.source.path)
    before = batch.source.path.read_bytes()
    assert (await batch.call()).of(State.DONE) == 2
    assert "another file has this name" in batch.made[0].problem
    assert batch.source.path.read_bytes() == before


async def test_another_batch_in_the_same_folder_is_refused(batch: BatchRig) -> None:
    with batch.folder.locked(), pytest.raises(BadInput, match="another batch is at work"):
        await batch.call()
    assert (await batch.call()).of(State.DONE) == 3


async def test_a_damaged_journal_is_an_error_and_pays_nothing(batch: BatchRig) -> None:
    await batch.call()
    batch.folder.journal.write_bytes(b"no journal at all" * 1000)
    with pytest.raises(OSError, match="the journal cannot be used"):
        await batch.call()
    assert batch.service.paid == 3 * PRICE


async def test_an_input_that_breaks_off_changes_nothing(batch: BatchRig) -> None:
    await batch.call()
    batch.source.path.write_text('prompt\none\n"open\n')
    with pytest.raises(BadInput):
        await batch.call()
    with Journal(batch.folder.journal) as journal:
        assert journal.call == 1


READ = """
import resource, sys
from pathlib import Path
from services.client.batch.batch_folder import BatchFolder
from services.client.batch.journal import Journal
from services.client.batch.plan import Naming, read
from services.client.batch.sources import Source
folder = BatchFolder(Path("videos"))
for rows in (1_000, int(sys.argv[1])):
    Path("in.csv").write_text("prompt")
    with open("in.csv", "a") as file:
        for row in range(rows):
            print(file=file)
            print("a prompt", row % 1000, file=file, end="")
    with folder.locked(), Journal(folder.journal) as journal:
        read(Source(Path("in.csv")), journal, folder, Naming(1, 0, False, ""))
        print(journal.missing_number(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_many_rows_are_read_in_bounded_memory(tmp_path: Path) -> None:
    environment = {"PYTHONPATH": os.pathsep.join(sys.path)}
    program = [sys.executable, "-c", READ, "30000"]
    ended = subprocess.run(program, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    (few, before_kb), (many, after_kb) = (map(int, line.split()) for line in ended.stdout.splitlines())
    assert (few, many) == (1_000, 30_000)
    assert after_kb - before_kb < 8_000
