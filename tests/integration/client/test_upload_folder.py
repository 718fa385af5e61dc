"""`i2v upload` of many files, and of files that break off, against a real service."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from i2v_client import AsyncClient
from i2v_client.asset_upload import RESUMABLE_BYTES
from tests.support import pictures, sounds
from tests.support.builders import ScriptedBackend
from tests.support.client_command import Command
from tests.support.served_orchestrator import Served, served


@pytest.fixture
async def i2v(database: str, tmp_path: Path) -> AsyncIterator[Served]:
    async with served(database, tmp_path, {"test": (ScriptedBackend(), 1)}) as running:
        yield running


def a_folder(folder: Path) -> Path:
    """Makes a folder with three files, one of which is refused, and a hidden one."""
    (folder / "media" / "more").mkdir(parents=True)
    (folder / "media" / "a picture.png").write_bytes(pictures.a_picture())
    (folder / "media" / "more" / "звук.wav").write_bytes(sounds.a_sound("audio/wav", 1.0))
    (folder / "media" / "notes.txt").write_bytes(b"no picture")
    (folder / "media" / ".hidden").write_bytes(b"")
    return folder / "media"


async def test_a_folder_is_uploaded_and_what_is_refused_is_named(i2v: Served, tmp_path: Path) -> None:
    a_folder(tmp_path)
    command = Command(i2v.address, tmp_path)
    ended = await command("upload", "media", key="studio-key")
    lines = sorted(line.split("  ", 1)[1] for line in ended.out.splitlines())
    assert lines == ["media/a picture.png", "media/more/звук.wav"]
    assert ended.code == 3
    assert ended.err.count("media/notes.txt") == 1 and "2 of 3 files are uploaded" in ended.err
    assert ".hidden" not in ended.err


async def test_each_file_of_a_folder_is_one_line_of_json(i2v: Served, tmp_path: Path) -> None:
    (a_folder(tmp_path) / "notes.txt").unlink()
    ended = await Command(i2v.address, tmp_path)("upload", "media", "--json", key="studio-key")
    assert ended.code == 0, ended.err
    titles = {json.loads(line)["details"]["title"] for line in ended.out.splitlines()}
    assert titles == {"a picture.png", "звук.wav"}


async def test_a_large_file_is_sent_in_parts(i2v: Served, tmp_path: Path) -> None:
    sound = sounds.a_sound("audio/wav", 100.0)
    assert len(sound) > RESUMABLE_BYTES
    (tmp_path / "long.wav").write_bytes(sound)
    async with AsyncClient(i2v.address, "studio-key", "ann") as client:
        asset = await client.upload(tmp_path / "long.wav")
        assert asset.size_bytes == len(sound) and asset.details.title == "long.wav"
    async with i2v.app.store.database.reading() as connection:
        assert (await connection.execute(sa.text("SELECT asset FROM uploads"))).scalars().all() == [asset.name[7:]]
