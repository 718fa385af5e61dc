"""Changes and deletions of several entries of the library, through the real server and the command."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from i2v.v1 import asset_pb2

from tests.integration.assets.test_library_lists import listed, refusal
from tests.support.builders import ScriptedBackend
from tests.support.client_command import Command
from tests.support.pictures import a_picture
from tests.support.served_orchestrator import Served, caller, served


@pytest.fixture
async def i2v(database: str, tmp_path: Path) -> AsyncIterator[Served]:
    async with served(database, tmp_path, {"test": (ScriptedBackend(), 1)}) as running:
        yield running


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"favorite": True}, "SELECTION_MALFORMED"),
        ({"favorite": True, "filter": "rating = 0", "names": ["assets/" + "0" * 64]}, "SELECTION_MALFORMED"),
        ({"favorite": True, "names": ["assets/" + "0" * 64] * 1001}, "NAMES_TOO_MANY"),
        ({"favorite": True, "names": ["assets/" + "0" * 64]}, "NOT_FOUND"),
        ({"favorite": True, "filter": "1; DROP TABLE assets"}, "FILTER_MALFORMED"),
        ({"filter": "rating = 0"}, "CHANGE_MISSING"),
        ({"filter": "rating = 0", "rating": 6}, "RATING_OUT_OF_RANGE"),
        ({"filter": "rating = 0", "source_module": "a\x07"}, "LIBRARY_TEXT_MALFORMED"),
        ({"filter": "rating = 0", "add_tags": ["x" * 10_000]}, "TAG_MALFORMED"),
        ({"filter": "rating = 0", "add_tags": ["a"], "remove_tags": ["a"]}, "TAG_MALFORMED"),
    ],
)
async def test_a_change_that_cannot_be_made_is_refused(i2v: Served, fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await i2v.assets.BatchUpdateAssets(asset_pb2.BatchUpdateAssetsRequest(**fields), metadata=caller(user="ann"))
    assert refusal(caught.value)[1] == reason


async def test_the_command_tags_and_deletes_what_a_filter_selects(i2v: Served, tmp_path: Path) -> None:
    names = [(await i2v.upload(a_picture(64 + number, 64))).name for number in range(3)]
    command = Command(i2v.address, tmp_path)

    async def run(*arguments: str) -> str:
        ended = await command("--user", "ann", "assets", *arguments, key=caller()[0][1].split()[-1])
        assert ended.code == 0, ended.err
        return ended.out

    async def found(filter_: str) -> set[str]:
        return {asset.name for asset in (await listed(i2v, filter=filter_)).assets}

    assert "3 of 3 would be changed" in await run("tag", "--filter", "type = image", "--dry-run", "roof")
    assert not await found("tags:roof")
    assert "3 of 3 changed" in await run("tag", "--filter", "type = image", "roof")
    await run("untag", names[0], "roof")
    assert await found("tags:roof") == set(names[1:])
    assert "2 would be moved" in await run("rm", "--filter", "tags:roof", "--dry-run")
    assert await found("") == set(names)
    assert "2 moved to the trash" in await run("rm", "--filter", "tags:roof")
    assert await found("") == {names[0]}
