"""`i2v batch` as a process, against a real service."""

import io
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from i2v.v1 import job_pb2
from PIL import Image

from services.orchestrator.domain.event import JobError
from services.orchestrator.ports.backend import AttemptFailed
from services.reasons import JobReason
from tests.support import pictures
from tests.support.builders import ScriptedBackend
from tests.support.client_command import Command, Ended, Terminal
from tests.support.served_orchestrator import Served, caller, served

BATCH = ("--model", "test-model", "--output_folder", "videos")


@pytest.fixture
def backend() -> ScriptedBackend:
    return ScriptedBackend()


@pytest.fixture
async def service(database: str, tmp_path: Path, backend: ScriptedBackend) -> AsyncIterator[Served]:
    async with served(database, tmp_path / "data", {"test": (backend, 4)}) as running:
        yield running


@pytest.fixture
def i2v(service: Served, tmp_path: Path) -> Command:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "cat.png").write_bytes(pictures.a_picture())
    return Command(service.address, tmp_path)


async def batch(i2v: Command, *arguments: str) -> Ended:
    return await i2v("batch", *BATCH, *arguments, key="studio-key")


async def spent(service: Served) -> int:
    return (await service.usage(user="default")).user.spent.amount_micros


def videos(i2v: Command) -> set[str]:
    return {file.name for file in (i2v.folder / "videos").iterdir() if not file.name.startswith(".")}


async def test_a_second_call_makes_only_what_is_missing(service: Served, i2v: Command) -> None:
    table = i2v.folder / "in" / "rows.csv"
    table.write_bytes('\ufeffprompt,image\r\n"It ""moves"", slowly",cat.png\r\nА вот и кот,\r\n'.encode())
    ended = await batch(i2v, "--data-path", "in/rows.csv", "--seed", "3")
    assert ended.code == 0, ended.err
    assert videos(i2v) == {"It _moves_, slowly-0.mp4", "А вот и кот-0.mp4"}
    paid = await spent(service)
    with table.open("ab") as file:
        file.write(b"third,cat.png\r\n")
    (i2v.folder / "videos" / "А вот и кот-0.mp4").unlink()
    ended = await batch(i2v, "--data_path", "in/rows.csv", "--seed", "3", "--json")
    assert ended.code == 0, ended.err
    lines = [json.loads(line) for line in ended.out.splitlines()]
    assert [line["file"] for line in lines if "row" in line] == ["А вот и кот-0.mp4", "third-0.mp4"]
    assert lines[-1]["summary"]["done"] == 3 and lines[-1]["summary"]["made_now"] == 2
    assert await spent(service) == paid + paid // 2


async def test_a_dry_run_prices_everything_and_names_all_that_is_refused(service: Served, i2v: Command) -> None:
    lines = [{"prompt": f"wave {row}"} for row in range(150)]
    lines += [{"prompt": "x" * 101}, {"prompt": "a", "image": "gone.png"}, {"prompt": "a", "image": "../cat.png"}]
    lines += [{"prompt": "it moves", "image": "cat.png"}, {"prompt": "no picture", "image": "bad.png"}]
    (i2v.folder / "in" / "bad.png").write_bytes(b"<svg/>")
    (i2v.folder / "in" / "rows.jsonl").write_text("\n".join(map(json.dumps, lines)))
    ended = await batch(i2v, "--data_path", "in/rows.jsonl", "--dry-run", "--duration", "1")
    assert ended.code == 3, ended.err
    assert "151 videos would be made for 0.151000 USD." in ended.out
    assert "4 would be refused." in ended.out
    assert [line.split(":")[0] for line in ended.out.splitlines() if line.startswith("row")] == [
        *("row 152", "row 153", "row 155", "row 151"),
    ]
    assert not (i2v.folder / "videos").exists()
    assert await spent(service) == 0


async def test_a_dry_run_counts_all_pages_against_a_budget(service: Served, i2v: Command) -> None:
    (i2v.folder / "in" / "rows.txt").write_text("\n".join(f"wave {row}" for row in range(120)))
    arguments = ("--data_path", "in/rows.txt", "--duration", "2", "--num_samples", "3", "--dry_run", "--json")
    ended = await batch(i2v, *arguments)
    assert ended.code == 3, ended.err
    found = json.loads(ended.out.splitlines()[-1])["dry_run"]
    assert (found["videos"], found["micros"]) == (360, {"USD": 720_000})
    assert found["limits_exceeded"] == ["user spend month"]


async def test_a_refused_row_does_not_keep_the_others_back(service: Served, i2v: Command) -> None:
    (i2v.folder / "in" / "rows.txt").write_text(f"a wave\n{'x' * 101}\nanother\n")
    ended = await batch(i2v, "--data_path", "in/rows.txt")
    assert ended.code == 3
    assert "row 2: " in ended.err and "2 of 3 videos are here, 2 of them made now, 1 refused" in ended.err
    (i2v.folder / "in" / "rows.txt").write_text("a wave\nshort enough\nanother\n")
    ended = await batch(i2v, "--data_path", "in/rows.txt")
    assert (ended.code, len(videos(i2v))) == (0, 3), ended.err


async def test_a_budget_that_is_used_up_stops_the_batch(service: Served, i2v: Command) -> None:
    (i2v.folder / "in" / "rows.txt").write_text("\n".join(f"wave {row}" for row in range(5)))
    arguments = ("batch", *BATCH, "--data_path", "in/rows.txt", "--duration", "1", "--at_once", "1")
    ended = await i2v(*arguments, key="poor-key")
    assert ended.code == 3, ended.err
    assert "1 of 5 videos are here" in ended.err and "4 missing" in ended.err


async def test_a_data_set_of_self_forcing_is_made_with_its_crops(service: Served, i2v: Command) -> None:
    folder = i2v.folder / "set" / "26-15"
    folder.mkdir(parents=True)
    (folder / "cat.png").write_bytes(pictures.a_picture())
    crop = {"target_bbox": [0, 0, 40, 32], "target_ratio": "26-15"}
    entry = {"file_name": "cat.png", "caption": "It moves.", "target_crop": crop, "type": "cat"}
    entry |= {"origin_width": 64, "origin_height": 48}
    (folder.parent / "target_crop_info_26-15.json").write_text(json.dumps([entry]))
    arguments = ("--i2v", "--data_path", "set", "--num_output_frames", "3", "--save_with_index", "--num_samples", "2")
    ended = await batch(i2v, *arguments)
    assert ended.code == 0, ended.err
    assert videos(i2v) == {"0-0_regular.mp4", "0-1_regular.mp4"}
    jobs = (await service.jobs.ListJobs(job_pb2.ListJobsRequest(), metadata=caller(user="default"))).jobs
    assert {job.spec.seed for job in jobs} == {0, 1}
    picture = await service.download(jobs[0].spec.image_to_video.image, user="default")
    assert Image.open(io.BytesIO(picture)).size == (40, 32)
    wrong = await batch(i2v, "--data_path", "set", "--num_output_frames", "21", "--output_folder", "other")
    assert wrong.code == 2 and "test-model makes 3, 5 latents, and not 21" in wrong.err


async def test_the_journal_of_another_user_or_server_is_refused(service: Served, i2v: Command) -> None:
    (i2v.folder / "in" / "rows.txt").write_text("a wave\n")
    assert (await batch(i2v, "--data_path", "in/rows.txt")).code == 0
    (i2v.folder / "in" / "rows.txt").write_text("a wave\nanother\n")
    other = await i2v("--user", "bob", "batch", *BATCH, "--data_path", "in/rows.txt", key="studio-key")
    assert other.code == 2 and "another server, key or user" in other.err
    other = await i2v("batch", *BATCH, "--data_path", "in/rows.txt", key="story-key")
    assert other.code == 2 and "another server, key or user" in other.err
    assert (await batch(i2v, "--data_path", "in/rows.txt")).code == 0


async def test_a_failed_job_is_named_and_ends_with_a_code_of_its_own(
    service: Served, backend: ScriptedBackend, i2v: Command
) -> None:
    backend.troubles.append(AttemptFailed(JobError(JobReason.ENGINE_REFUSED, "Enough.", retryable=False)))
    (i2v.folder / "in" / "rows.txt").write_text("a wave\nanother\n")
    for _ in range(2):
        ended = await batch(i2v, "--data_path", "in/rows.txt", "--at_once", "1")
        assert ended.code == 4 and "1 of 2 videos are here" in ended.err
        assert "row 1: jobs/" in ended.err and "Enough. (ENGINE_REFUSED)" in ended.err
    assert len(backend.attempts) == 2


async def test_a_bar_has_the_rate_and_the_time_left(service: Served, i2v: Command) -> None:
    (i2v.folder / "in" / "rows.txt").write_text("a wave\nanother\n")
    terminal = Terminal(120)
    arguments = ("batch", *BATCH, "--data_path", "in/rows.txt")
    process = await i2v.start(*arguments, key="studio-key", stderr=terminal.slave, TERM="xterm")
    terminal.hand_over()
    shown = await terminal.read()
    assert await process.wait() == 0, shown
    assert "2/2" in shown and "/min" in shown and "0:00:00" in shown
