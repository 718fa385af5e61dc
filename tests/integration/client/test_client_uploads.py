"""Uploads by the client of paths, bytes and open files, which go on after they were cut."""

import io
import os
import random
from itertools import pairwise
from pathlib import Path

import pytest
from i2v.v1 import asset_pb2

from i2v_client import Upload
from i2v_client.asset_upload import RESUMABLE_BYTES
from tests.support.scripted_server import PICTURE, Rig

LARGE = random.Random(7).randbytes(RESUMABLE_BYTES + 300_000)


@pytest.mark.parametrize("kind", ["path", "text", "bytes", "file", "memory"])
async def test_a_large_upload_goes_on_where_it_was_cut(rig: Rig, tmp_path: Path, kind: str) -> None:
    file = tmp_path / "long.wav"
    file.write_bytes(LARGE)
    rig.script.cut_upload_at = [500_000, 3_000_000, 6_000_000]
    with file.open("rb") as opened:
        opened.seek(1234)  # the upload is of the whole file
        sources = {"path": file, "text": str(file), "bytes": LARGE, "file": opened, "memory": io.BytesIO(LARGE)}
        await rig.client.upload(sources[kind])
        assert not opened.closed
    headers = rig.script.asked_for(asset_pb2.WriteAssetHeader)
    assert rig.script.uploads == [LARGE]
    assert len({each.upload_id for each in headers}) == 1
    assert len(headers) == 4 and headers[0].offset == 0
    assert all(before.offset < after.offset for before, after in pairwise(headers))
    assert headers[0].details.title == ("" if kind in ("bytes", "memory") else "long.wav")


async def test_a_small_upload_that_was_cut_is_sent_from_its_beginning(rig: Rig) -> None:
    rig.script.cut_upload_at = [1]
    with io.BytesIO(PICTURE) as file:
        await rig.client.upload(file)
    assert rig.script.uploads == [PICTURE]


async def test_a_pipe_cannot_be_read_twice_and_is_refused_before_anything_is_sent(rig: Rig) -> None:
    reading, writing = os.pipe()
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe, pytest.raises(OSError):
        await rig.client.upload(pipe)
    assert rig.script.asked == []


def test_a_file_without_a_name_has_no_title() -> None:
    with os.fdopen(os.open(os.devnull, os.O_RDONLY), "rb") as numbered:
        assert Upload.of(numbered).title == ""
