"""The library through the real server: lists, pages, changes, and what is refused."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from i2v.v1 import asset_pb2, library_pb2

from tests.support.builders import ScriptedBackend
from tests.support.client_command import Command
from tests.support.pictures import a_picture
from tests.support.served_orchestrator import Served, caller, served

DEEP = "(" * 30 + "rating = 1" + ")" * 30
THOUSAND = " AND ".join(["rating = 1"] * 1000)


@pytest.fixture
async def i2v(database: str, tmp_path: Path) -> AsyncIterator[Served]:
    async with served(database, tmp_path, {"test": (ScriptedBackend(), 1)}) as running:
        yield running


async def listed(i2v: Served, who: str = "ann", **fields: Any) -> asset_pb2.ListAssetsResponse:
    answer: asset_pb2.ListAssetsResponse = await i2v.assets.ListAssets(
        asset_pb2.ListAssetsRequest(**fields), metadata=caller(user=who)
    )
    return answer


async def updated(i2v: Served, asset: asset_pb2.Asset, *paths: str) -> asset_pb2.Asset:
    request = asset_pb2.UpdateAssetRequest(asset=asset, update_mask=FieldMask(paths=paths))
    answer: asset_pb2.Asset = await i2v.assets.UpdateAsset(request, metadata=caller(user="ann"))
    return answer


def refusal(error: grpc.RpcError) -> tuple[grpc.StatusCode, str]:
    """Returns the code and the reason of a refusal."""
    status = rpc_status.from_call(error)
    assert status is not None
    for detail in status.details:
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info):
            return error.code(), info.reason
    raise AssertionError("there is no ErrorInfo")


async def test_pages_follow_one_another_and_a_token_fits_its_request_and_caller_only(i2v: Served) -> None:
    names = [(await i2v.upload(a_picture(64 + number, 64))).name for number in range(3)]
    first = await listed(i2v, page_size=2)
    assert [asset.name for asset in first.assets] == names[:0:-1]
    second = await listed(i2v, page_size=2, page_token=first.next_page_token)
    assert ([asset.name for asset in second.assets], second.next_page_token) == (names[:1], "")
    token = first.next_page_token
    for who, fields in (
        ("bob", {"page_token": token}),
        ("ann", {"page_token": token, "filter": "rating = 0"}),
        ("ann", {"page_token": "A" + token[1:]}),
        ("ann", {"page_token": "x" * 5000}),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await listed(i2v, who, **fields)
        assert refusal(caught.value) == (grpc.StatusCode.INVALID_ARGUMENT, "PAGE_TOKEN_MALFORMED")
    assert not (await listed(i2v, "bob")).assets


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"filter": f'model = "{"x" * 10_000}"'}, "FILTER_MALFORMED"),
        ({"filter": THOUSAND}, "FILTER_MALFORMED"),
        ({"filter": DEEP}, "FILTER_MALFORMED"),
        ({"filter": "rating = 1; DROP TABLE library_entries"}, "FILTER_MALFORMED"),
        ({"filter": "1 = 1"}, "FILTER_MALFORMED"),
        ({"order_by": "id; DROP TABLE library_entries"}, "ORDER_UNKNOWN"),
        ({"order_by": "relevance"}, "ORDER_UNKNOWN"),
        ({"query": "x" * 1001}, "QUERY_TOO_LONG"),
        ({"page_size": 501}, "PAGE_SIZE_OUT_OF_RANGE"),
        ({"max_distance": 33}, "DISTANCE_OUT_OF_RANGE"),
        ({"similar_to": "assets/" + "0" * 64}, "NOT_FOUND"),
    ],
)
async def test_a_request_that_cannot_be_served_is_refused(i2v: Served, fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await listed(i2v, **fields)
    assert refusal(caught.value)[1] == reason


async def test_an_asset_is_changed_by_its_mask_and_the_second_editor_is_refused(i2v: Served) -> None:
    asset = await i2v.upload(a_picture())
    details = library_pb2.LibraryDetails(title="קטה 猫 Кот", description="kept out")
    new = asset_pb2.Asset(name=asset.name, details=details, rating=4, etag=asset.etag)
    changed = await updated(i2v, new, "details.title", "rating")
    assert (changed.details.title, changed.details.description, changed.rating) == (details.title, "", 4)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await updated(i2v, new, "details.title")
    assert refusal(caught.value) == (grpc.StatusCode.ABORTED, "ETAG_OUTDATED")
    for wrong, path, reason in (
        ({"details": {"tags": ["x" * 10_000]}}, "details.tags", "TAG_MALFORMED"),
        ({"details": {"tags": ["a\u202eb"]}}, "details.tags", "TAG_MALFORMED"),
        ({"details": {"title": "a\x07b"}}, "details", "LIBRARY_TEXT_MALFORMED"),
        ({"rating": 6}, "rating", "RATING_OUT_OF_RANGE"),
        ({"etag": "x"}, "favorite", "ETAG_MALFORMED"),
        ({}, "origin", "FIELD_MASK_MALFORMED"),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await updated(i2v, asset_pb2.Asset(name=asset.name, **wrong), path)
        assert refusal(caught.value) == (grpc.StatusCode.INVALID_ARGUMENT, reason)


async def test_the_command_finds_and_edits(i2v: Served, tmp_path: Path) -> None:
    name = (await i2v.upload(a_picture())).name
    command = Command(i2v.address, tmp_path)

    async def run(*arguments: str) -> list[dict[str, Any]]:
        ended = await command("--user", "ann", "assets", *arguments, "--json", key=caller()[0][1].split()[-1])
        assert ended.code == 0, ended.err
        return [json.loads(line) for line in ended.out.splitlines()]

    await run("edit", name, "--title", "A cat", "--source-module", "story_writer")
    await run("tag", name, "roof", "cat")
    await run("untag", name, "roof")
    await run("favorite", name)
    [found] = await run("rate", name, "5")
    assert (found["details"]["title"], found["details"]["tags"], found["favorite"]) == ("A cat", ["cat"], True)
    assert await run("search", "cat") == await run("ls", "--filter", "tags:cat AND rating = 5") == [found]
    assert await run("search", "dog") == []
    assert await run("show", name) == [found]
    [counted] = await run("stats", "--filter", "source_module = story_writer")
    assert (counted["total"]["assets"], counted["source_modules"][0]["name"]) == ("1", "story_writer")
