"""Collections through the real server and the command."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from i2v.v1 import asset_pb2, collection_pb2, collection_pb2_grpc

from services.client.exit_codes import ExitCode
from tests.integration.assets.test_library_lists import refusal
from tests.support.builders import ScriptedBackend
from tests.support.client_command import Command
from tests.support.pictures import a_picture
from tests.support.served_orchestrator import Served, caller, served

ID = "0b0e7b8e-6f4c-4f5e-9d8e-1f2a3b4c5d6e"
NAME = f"collections/{ID}"
Collection = collection_pb2.Collection


@pytest.fixture
async def i2v(database: str, tmp_path: Path) -> AsyncIterator[Served]:
    async with served(database, tmp_path, {"test": (ScriptedBackend(), 1)}) as running:
        yield running


async def call(i2v: Served, method: str, who: str = "ann", **fields: Any) -> Any:
    """Calls `method` of CollectionService with a request of these fields."""
    stub = collection_pb2_grpc.CollectionServiceStub(i2v.channel)
    request = getattr(collection_pb2, f"{method}Request")(**fields)
    return await getattr(stub, method)(request, metadata=caller(user=who))


async def test_the_command_makes_fills_edits_and_deletes_a_collection(i2v: Served, tmp_path: Path) -> None:
    cat, dog = [(await i2v.upload(a_picture(64 + number, 64))).name for number in range(2)]
    command = Command(i2v.address, tmp_path)

    async def run(*arguments: str, code: int = 0) -> list[dict[str, Any]]:
        ended = await command("--user", "ann", *arguments, "--json", key=caller()[0][1].split()[-1])
        assert ended.code == code, ended.err
        return [json.loads(line) for line in ended.out.splitlines()]

    [made] = await run("collections", "create", "Крыши 屋根")
    name = made["name"]
    assert await run("collections", "add", name, cat, dog.removeprefix("assets/")) == [{"added": 2, "left": []}]
    await run("collections", "add", name, "assets/" + "0" * 64, code=ExitCode.UNKNOWN)
    [covered] = await run("collections", "cover", name, cat)
    assert (covered["cover"], covered["asset_count"]) == (cat, 2)
    [edited] = await run("collections", "edit", name, "--title", "Roofs", "--etag", covered["etag"])
    assert await run("collections", "show", name) == await run("collections", "ls") == [edited]
    assert [each["name"] for each in await run("assets", "ls", "--filter", f"collection = {name}")] == [dog, cat]
    assert await run("collections", "remove", name, cat) == [{"removed": 1}]
    await run("collections", "rm", name)
    assert await run("collections", "ls") == []
    assert len(await run("assets", "ls")) == 2


async def test_what_is_wrong_or_belongs_to_others_is_refused(i2v: Served) -> None:
    made = await call(i2v, "CreateCollection", request_id=ID, collection=Collection(title="Roofs"))
    assert made == await call(i2v, "CreateCollection", request_id=ID, collection=Collection(title="Roofs"))
    assert (made.name, made.etag, made.asset_count) == (NAME, "1", 0)
    invalid, title = grpc.StatusCode.INVALID_ARGUMENT, FieldMask(paths=["title"])
    many = ["assets/" + "0" * 64] * 1001
    for method, fields, refused in (
        ("CreateCollection", {"request_id": "x", "collection": made}, (invalid, "REQUEST_ID_MALFORMED")),
        ("CreateCollection", {"request_id": ID, "collection": {"title": " "}}, (invalid, "LIBRARY_TEXT_MALFORMED")),
        (
            "CreateCollection",
            {"request_id": ID, "collection": {"title": "a\u202eb"}},
            (invalid, "LIBRARY_TEXT_MALFORMED"),
        ),
        (
            "CreateCollection",
            {"request_id": ID, "collection": {"title": "Other"}},
            (grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_REUSED"),
        ),
        ("UpdateCollection", {"collection": made}, (invalid, "FIELD_MASK_MALFORMED")),
        (
            "UpdateCollection",
            {"collection": made, "update_mask": FieldMask(paths=["asset_count"])},
            (invalid, "FIELD_MASK_MALFORMED"),
        ),
        (
            "UpdateCollection",
            {"collection": {"name": NAME, "title": "x", "etag": "x"}, "update_mask": title},
            (invalid, "ETAG_MALFORMED"),
        ),
        (
            "UpdateCollection",
            {"collection": {"name": NAME, "title": "x", "etag": "9"}, "update_mask": title},
            (grpc.StatusCode.ABORTED, "ETAG_OUTDATED"),
        ),
        ("AddAssets", {"name": NAME}, (invalid, "NAMES_TOO_MANY")),
        ("AddAssets", {"name": NAME, "assets": many}, (invalid, "NAMES_TOO_MANY")),
        ("RemoveAssets", {"name": NAME, "assets": many}, (invalid, "NAMES_TOO_MANY")),
        ("ListCollections", {"page_token": "x"}, (invalid, "PAGE_TOKEN_MALFORMED")),
        ("ListCollections", {"page_size": 201}, (invalid, "PAGE_SIZE_OUT_OF_RANGE")),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(i2v, method, **fields)
        assert refusal(caught.value) == refused, (method, fields)
    for method, fields in (
        ("GetCollection", {"name": NAME}),
        ("DeleteCollection", {"name": NAME}),
        ("UpdateCollection", {"collection": made, "update_mask": title}),
        ("AddAssets", {"name": NAME, "assets": many[:1]}),
        ("RemoveAssets", {"name": NAME, "assets": many[:1]}),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(i2v, method, "bob", **fields)
        assert refusal(caught.value) == (grpc.StatusCode.NOT_FOUND, "NOT_FOUND"), method
    await call(i2v, "CreateCollection", request_id=ID.replace("0b", "1b"), collection=Collection(title="Second"))
    page = await call(i2v, "ListCollections", page_size=1)
    assert [each.title for each in page.collections] == ["Second"]
    rest = await call(i2v, "ListCollections", page_size=1, page_token=page.next_page_token)
    assert ([each.title for each in rest.collections], rest.next_page_token) == (["Roofs"], "")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(i2v, "ListCollections", "bob", page_size=1, page_token=page.next_page_token)
    assert refusal(caught.value) == (invalid, "PAGE_TOKEN_MALFORMED")
    listed = await i2v.assets.ListAssets(
        asset_pb2.ListAssetsRequest(filter=f"collection = {NAME}"), metadata=caller(user="bob")
    )
    assert not listed.assets
