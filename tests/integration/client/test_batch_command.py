"""`i2v batch` as a process, against a real service."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support import pictures
from tests.support.builders import ScriptedBackend
from tests.support.client_command import Command, Ended
from tests.support.served_orchestrator import Served, served

BATCH = ("--model", "test-model", "--output_folder", "videos")


@pytest.fixture
async def service(database: str, tmp_path: Path) -> AsyncIterator[Served]:
    async with served(database, tmp_path / "data", {"test": (ScriptedBackend(), 4)}) as running:
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
