"""Signed URLs over HTTP: the real process before a real API."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

from i2v.v1 import asset_pb2

from tests.support import sounds
from tests.support.blob_stores import until
from tests.support.served_orchestrator import caller
from tests.support.studio_rig import Rig, before_an_api


async def test_a_browser_gets_the_file_its_type_its_name_and_until_when_to_keep_it(rig: Rig) -> None:
    asset, stored = await rig.picture()
    answer = await rig.http.get(await rig.url(asset.name, download_name="猫.png"))
    assert (answer.status_code, answer.content) == (200, stored)
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["content-length"] == str(len(stored))
    assert answer.headers["etag"] == f'"{asset.name.removeprefix("assets/")}"'
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["content-disposition"] == "attachment; filename=\"_.png\"; filename*=UTF-8''%E7%8C%AB.png"
    assert answer.headers["cache-control"] == "private"
    assert 0 < (parsedate_to_datetime(answer.headers["expires"]) - datetime.now(UTC)).total_seconds() <= 60
    assert answer.headers["x-content-type-options"] == "nosniff"
    shown = await rig.http.get(await rig.url(asset.name))
    assert shown.headers["content-disposition"] == "inline"


async def test_a_url_of_a_variant_serves_the_variant_alone(rig: Rig) -> None:
    asset, stored = await rig.picture()
    answer = await rig.http.get(await rig.url(asset.name, variant="thumbnail-128", download_name="small.webp"))
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/webp")
    assert answer.content[8:12] == b"WEBP"
    assert answer.content != stored
    assert answer.headers["etag"] == f'"{asset.name.removeprefix("assets/")}.thumbnail-128"'
    part = await rig.http.get(str(answer.url), headers={"Range": "bytes=4-9"})
    assert (part.status_code, part.content) == (206, answer.content[4:10])


async def test_ranges_are_answered_as_a_player_needs_them(rig: Rig) -> None:
    asset, stored = await rig.picture()
    url, size = await rig.url(asset.name), len(stored)
    for header, expected, first in (
        ("bytes=0-", stored, 0),
        ("bytes=10-19", stored[10:20], 10),
        (f"bytes={size - 5}-{size + 100}", stored[-5:], size - 5),
        ("bytes=-7", stored[-7:], size - 7),
    ):
        answer = await rig.http.get(url, headers={"Range": header})
        assert (answer.status_code, answer.content) == (206, expected), header
        assert answer.headers["content-range"] == f"bytes {first}-{first + len(expected) - 1}/{size}"
    beyond = await rig.http.get(url, headers={"Range": f"bytes={size}-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{size}")
    assert beyond.headers["content-type"].startswith("text/plain")
    several = await rig.http.get(url, headers={"Range": "bytes=0-1,4-5"})
    assert (several.status_code, several.content) == (200, stored)


async def test_what_the_client_has_is_not_sent_again(rig: Rig) -> None:
    asset, stored = await rig.picture()
    url = await rig.url(asset.name)
    tag = (await rig.http.head(url)).headers["etag"]
    known = await rig.http.get(url, headers={"If-None-Match": f'"other", {tag}'})
    assert (known.status_code, known.content, known.headers["etag"]) == (304, b"", tag)
    part = {"Range": "bytes=0-3"}
    assert (await rig.http.get(url, headers=part | {"If-Range": tag})).content == stored[:4]
    assert (await rig.http.get(url, headers=part | {"If-Range": '"other"'})).content == stored


async def test_head_has_the_headers_and_no_body(rig: Rig) -> None:
    asset, stored = await rig.picture()
    answer = await rig.http.head(await rig.url(asset.name))
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-length"] == str(len(stored))


async def test_wrong_expired_and_other_requests_are_refused_in_plain_text(rig: Rig) -> None:
    asset, _ = await rig.picture()
    url = await rig.url(asset.name)
    altered = url[:-1] + ("A" if url[-1] != "A" else "Q")
    wrong = await rig.http.get(altered)
    assert wrong.status_code == 403
    assert wrong.text == "The URL was altered, or was not made by this service.\n"
    assert wrong.headers["cache-control"] == "no-store"
    # An API key is no token of a URL, and never reaches the API from here.
    assert (await rig.http.get(f"{url.partition('/media/')[0]}/media/studio-key")).status_code == 403
    assert (await rig.http.get(f"{url.partition('/media/')[0]}/other")).status_code == 404
    assert (await rig.http.post(url)).status_code == 405

    short = await rig.url(asset.name, seconds=1)

    async def gone() -> bool:
        return (await rig.http.get(short)).status_code == 410

    await until(gone)
    assert (await rig.http.get(short, headers={"If-None-Match": "*"})).status_code == 410


async def test_a_tenant_with_too_many_downloads_is_told_to_try_again(database: str, tmp_path: Path) -> None:
    async with before_an_api(database, tmp_path, tenant_downloads=1) as rig:
        asset = await rig.i2v.upload(sounds.a_sound("audio/wav", 300.0), "audio/*")
        url = await rig.url(asset.name)
        async with rig.http.stream("GET", url) as first:
            assert first.status_code == 200  # its reader takes no more than the connection holds
            busy = await rig.http.get(url)
        assert (busy.status_code, busy.headers["retry-after"]) == (503, "1")


async def test_the_log_has_no_url_and_the_metrics_count(rig: Rig) -> None:
    asset, stored = await rig.picture()
    url = await rig.url(asset.name)
    await rig.http.get(url)
    await rig.http.get(url[:-3])
    assert "signed." not in rig.log.read_text()
    counted = (await rig.http.get(rig.metrics)).text
    assert 'i2v_studio_requests_total{method="GET",route="/media/{token}",status="200"} 1.0' in counted
    assert 'i2v_studio_requests_total{method="GET",route="/media/{token}",status="403"} 1.0' in counted
    assert f"i2v_studio_sent_bytes_total {float(len(stored))}" in counted


async def test_a_url_of_a_deleted_asset_and_of_its_variant_is_not_found_until_it_is_restored(rig: Rig) -> None:
    asset, stored = await rig.picture()
    urls = [await rig.url(asset.name), await rig.url(asset.name, variant="thumbnail-128")]

    async def answers() -> list[int]:
        ranges = {"Range": "bytes=0-3"}
        return [(await rig.http.get(url, headers=headers)).status_code for url in urls for headers in ({}, ranges)]

    assert await answers() == [200, 206, 200, 206]
    assets = rig.i2v.assets
    await assets.DeleteAsset(asset_pb2.DeleteAssetRequest(name=asset.name), metadata=caller())
    assert await answers() == [404] * 4
    known = await rig.http.get(urls[0], headers={"If-None-Match": f'"{asset.name.removeprefix("assets/")}"'})
    assert (known.status_code, stored in known.content) == (404, False)
    await assets.RestoreAsset(asset_pb2.RestoreAssetRequest(name=asset.name), metadata=caller())
    assert await answers() == [200, 206, 200, 206]
    await assets.DeleteAsset(asset_pb2.DeleteAssetRequest(name=asset.name, permanent=True), metadata=caller())
    assert await answers() == [404] * 4
