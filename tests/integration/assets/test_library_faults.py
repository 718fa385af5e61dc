"""What people and programs do wrong, or at the same time, with assets: nothing is mixed up, lost or shown to others."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from i2v.v1 import asset_pb2, job_pb2, library_pb2, signed_asset_pb2, signed_asset_pb2_grpc

from services.rpc.status_codes import from_call
from tests.support import sounds
from tests.support.builders import ScriptedBackend
from tests.support.pictures import a_picture
from tests.support.served_orchestrator import Served, caller, image_spec, parts, served

STUDIO = "https://studio.example"
TITLES = (
    "A cat on the roof",
    "Žluťoučký kůň",
    "e\u0301te\u0301 de\u0301compose\u0301",
    "Γάτα στη στέγη",
    "Кошка на крыше",
    "חתול על הגג",
    "قطة على السطح",
    "छत पर बिल्ली",
    "แมวบนหลังคา",
    "屋根の上の猫",
    "屋顶上的猫",
    "지붕 위의 고양이",
    "კატა სახურავზე",
    "ድመት በጣሪያ ላይ",
    "Katze 👩‍👩‍👧 und 🐈",
    "𝒸𝒶𝓉 𐍈𐌺",
)


@pytest.fixture
def backend() -> ScriptedBackend:
    return ScriptedBackend()


@pytest.fixture
async def i2v(database: str, tmp_path: Path, backend: ScriptedBackend) -> AsyncIterator[Served]:
    def change(values: dict[str, Any]) -> None:
        values["studio_url"] = STUDIO

    async with served(database, tmp_path, {"test": (backend, 1)}, change=change) as running:
        yield running


async def uploaded(i2v: Served, number: int, title: str) -> asset_pb2.Asset:
    details = library_pb2.LibraryDetails(title=title, tags=[title])
    header = asset_pb2.WriteAssetHeader(media_type="image/png", details=details)
    data = a_picture(64 + number, 64)
    answer: asset_pb2.Asset = await i2v.assets.WriteAsset(parts(header, data), metadata=caller())
    return answer


async def listed(i2v: Served, tenant: str = "studio", **fields: Any) -> asset_pb2.ListAssetsResponse:
    request = asset_pb2.ListAssetsRequest(**fields)
    answer: asset_pb2.ListAssetsResponse = await i2v.assets.ListAssets(request, metadata=caller(tenant))
    return answer


async def titles(i2v: Served, **fields: Any) -> list[str]:
    return [asset.details.title for asset in (await listed(i2v, **fields)).assets]


async def delete(i2v: Served, name: str, *, permanent: bool = False) -> None:
    await i2v.assets.DeleteAsset(asset_pb2.DeleteAssetRequest(name=name, permanent=permanent), metadata=caller())


async def download_name(i2v: Served, name: str, wanted: str) -> str:
    request = asset_pb2.SignUrlRequest(name=name, download_name=wanted)
    token = (await i2v.assets.SignUrl(request, metadata=caller())).url.removeprefix(f"{STUDIO}/media/")
    stub: Any = signed_asset_pb2_grpc.SignedAssetServiceStub(i2v.channel)
    who = (("authorization", f"Bearer {token}"),)
    return str((await stub.GetSigned(signed_asset_pb2.GetSignedRequest(), metadata=who)).download_name)


async def test_a_title_in_any_script_is_listed_found_sorted_and_the_name_of_a_file(i2v: Served) -> None:
    assets = [await uploaded(i2v, number, title) for number, title in enumerate(TITLES)]
    assert [asset.details.title for asset in assets] == list(TITLES)
    assert await titles(i2v, order_by="create_time asc") == list(TITLES)
    for asset, title in zip(assets, TITLES, strict=True):
        assert title in await titles(i2v, query=title)
        assert await titles(i2v, filter=f'tags:"{title}"') == [title]
        assert await download_name(i2v, asset.name, f"{title}.png") == f"{title}.png"
    sorted_titles: list[str] = []
    token = ""
    while True:
        page = await listed(i2v, order_by="title asc", page_size=3, page_token=token)
        sorted_titles += [asset.details.title for asset in page.assets]
        if not (token := page.next_page_token):
            break
    assert sorted(sorted_titles) == sorted(TITLES)
    assert await titles(i2v, order_by="title desc") == sorted_titles[::-1]


async def test_a_page_token_of_another_tenant_is_refused(i2v: Served) -> None:
    for number in range(2):
        await uploaded(i2v, number, "cat")
    token = (await listed(i2v, page_size=1)).next_page_token
    assert token
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await listed(i2v, "story", page_size=1, page_token=token)
    assert from_call(refused.value).reason == "PAGE_TOKEN_MALFORMED"


async def test_of_editors_at_the_same_time_one_wins(i2v: Served) -> None:
    asset = await uploaded(i2v, 0, "cat")

    async def edit(number: int) -> str:
        new = asset_pb2.Asset(
            name=asset.name, etag=asset.etag, details=library_pb2.LibraryDetails(title=f"cat {number}")
        )
        request = asset_pb2.UpdateAssetRequest(asset=new, update_mask=FieldMask(paths=["details.title"]))
        try:
            return str((await i2v.assets.UpdateAsset(request, metadata=caller())).details.title)
        except grpc.aio.AioRpcError as error:
            assert (error.code(), from_call(error).reason) == (grpc.StatusCode.ABORTED, "ETAG_OUTDATED")
            return ""

    won = [title for title in await asyncio.gather(*map(edit, range(8))) if title]
    assert len(won) == 1
    assert await titles(i2v) == won


@pytest.mark.parametrize("permanent", [False, True])
async def test_a_download_goes_on_when_its_asset_is_deleted_and_is_the_last(i2v: Served, permanent: bool) -> None:
    sound = sounds.a_sound("audio/wav", 120.0)
    asset = await i2v.upload(sound, "audio/*")
    request = asset_pb2.ReadAssetRequest(name=asset.name)
    reading = aiter(i2v.assets.ReadAsset(request, metadata=caller()))
    received = (await anext(reading)).data
    await delete(i2v, asset.name, permanent=permanent)
    received += b"".join([answer.data async for answer in reading])
    assert received == sound
    with pytest.raises(grpc.aio.AioRpcError) as gone:
        await i2v.download(asset.name)
    assert gone.value.code() is grpc.StatusCode.NOT_FOUND


async def test_a_job_keeps_its_picture_when_that_is_deleted_before_it_starts(
    i2v: Served, backend: ScriptedBackend
) -> None:
    picture = await uploaded(i2v, 0, "cat")
    backend.gate.clear()
    first = await i2v.submit(image_spec(picture.name, seed=1))
    await backend.begun.wait()
    waiting = await i2v.submit(image_spec(picture.name, seed=2))
    with pytest.raises(grpc.aio.AioRpcError) as used:
        await delete(i2v, picture.name, permanent=True)
    assert from_call(used.value).reason == "ASSET_IN_USE"
    await delete(i2v, picture.name)
    with pytest.raises(grpc.aio.AioRpcError) as missing:
        await i2v.submit(image_spec(picture.name, seed=3))
    assert missing.value.code() in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT)
    backend.gate.set()
    for job in (first, waiting):
        assert (await i2v.ended(job.name)).state == job_pb2.Job.SUCCEEDED
    assert len(backend.attempts) == 2
    await delete(i2v, picture.name, permanent=True)
