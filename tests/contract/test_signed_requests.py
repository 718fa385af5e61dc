"""What a store lets others do with a signed URL or form, as far as it has them."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import pytest
import pytest_asyncio
import urllib3

from services.orchestrator.blobs.local import LocalBlobs
from services.orchestrator.blobs.minio import MinioBlobs
from services.orchestrator.ports.blobs import SignedPost
from tests.support.blob_stores import a_file, a_key, content, minio, s3_named, until
from tests.support.s3_fixture import S3Server

HTTP = urllib3.PoolManager(retries=False)


@dataclass(frozen=True)
class Store:
    """A store with URLs; rclone's checks no forms and sets no headers of answers."""

    blobs: MinioBlobs
    complete: bool

    def needs_complete(self) -> None:
        if not self.complete:
            pytest.skip("rclone reads no policies of forms and no headers for answers; name a real S3")


@pytest_asyncio.fixture(params=["rclone", "rgw", "outside"])
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    made = Store(minio(s3_named(request.param, request)), request.param != "rclone")
    yield made
    await made.blobs.close()


async def url_of(store: Store, key: str, name: str = "", *, expires_s: int = 60) -> str:
    return await store.blobs.signed_url(key, expires_s=expires_s, download_name=name, media_type="video/mp4")


async def get(url: str, **headers: str) -> urllib3.BaseHTTPResponse:
    return await asyncio.to_thread(HTTP.request, "GET", url, headers=headers)


async def post(form: SignedPost, data: bytes, **changes: str) -> int:
    fields = {**form.fields, **changes, "file": ("any.mp4", data, "application/octet-stream")}
    response = await asyncio.to_thread(HTTP.request, "POST", form.url, fields=fields)
    return response.status


async def test_a_folder_has_neither_urls_nor_forms(tmp_path: Path) -> None:
    blobs = LocalBlobs(tmp_path)
    assert await blobs.signed_url(a_key(), expires_s=60, download_name="", media_type="video/mp4") is None
    assert await blobs.signed_post(a_key(), most_bytes=1, expires_s=60) is None
    await blobs.close()


async def test_a_signed_url_reads_a_blob_and_ranges_of_it(store: Store, tmp_path: Path) -> None:
    key, (path, data) = a_key(), a_file(tmp_path, 100_000)
    await store.blobs.put_file(key, path, media_type="video/mp4")
    url = await url_of(store, key)
    assert (await get(url)).data == data
    part = await get(url, Range="bytes=70000-70099")
    assert (part.data, part.headers["content-range"]) == (data[70_000:70_100], "bytes 70000-70099/100000")
    assert part.headers["etag"]


@pytest.mark.parametrize("name", ["video.mp4", 'Größe "1".mp4', "動画 😀.mp4", "عربي.mp4", "100 % & more; x.mp4"])
async def test_a_signed_url_says_how_the_file_is_named(store: Store, tmp_path: Path, name: str) -> None:
    store.needs_complete()
    key, (path, _) = a_key(), a_file(tmp_path, 10)
    await store.blobs.put_file(key, path, media_type="application/octet-stream")
    answer = await get(await url_of(store, key, name))
    assert answer.headers["content-type"] == "video/mp4"
    kind, *parameters = answer.headers["content-disposition"].split("; ", 1)
    assert kind == "attachment"
    plain = name.replace('"', "_")
    named = unquote(parameters[0].rpartition("filename*=UTF-8''")[2]) if "*" in parameters[0] else parameters[0]
    assert named in (plain, f'filename="{plain}"')
    assert (await get(await url_of(store, key))).headers["content-disposition"] == "inline"


async def test_a_signed_url_that_was_changed_or_has_expired_reads_nothing(store: Store, tmp_path: Path) -> None:
    key, other, (path, _) = a_key(), a_key(), a_file(tmp_path, 10)
    for each in (key, other):
        await store.blobs.put_file(each, path, media_type="video/mp4")
    url = await url_of(store, key)
    changed = [url.replace(key, other), url[:-1] + ("0" if url[-1] != "0" else "1"), url.partition("?")[0]]
    changed.append(url.replace("Expires=60", "Expires=6000"))
    assert {(await get(each)).status for each in changed} <= {400, 403}
    short = await url_of(store, key, expires_s=1)

    async def expired() -> bool:
        return (await get(short)).status in (400, 403)

    await until(expired)


async def test_a_signed_url_of_nothing_is_not_found(store: Store) -> None:
    assert (await get(await url_of(store, a_key()))).status == 404


async def test_a_signed_request_names_the_address_that_clients_use(s3_server: S3Server) -> None:
    public = minio(s3_server, public_url="https://media.example.com:8443")
    url = await public.signed_url("k", expires_s=60, download_name="", media_type="video/mp4")
    form = await public.signed_post("k", most_bytes=1, expires_s=60)
    assert url.startswith("https://media.example.com:8443/i2v-test/k?")
    assert form.url == "https://media.example.com:8443/i2v-test/"
    await public.close()


async def test_a_signed_form_stores_one_file_of_the_announced_size(store: Store) -> None:
    store.needs_complete()
    key, data = a_key("upload"), secrets.token_bytes(1000)
    form = await store.blobs.signed_post(key, most_bytes=1000, expires_s=60)
    assert await post(form, data) == 204
    assert await content(store.blobs, key) == data


async def test_a_signed_form_is_refused_for_another_size_or_key_or_too_late(store: Store) -> None:
    store.needs_complete()
    key, other = a_key("upload"), a_key("other")
    form = await store.blobs.signed_post(key, most_bytes=1000, expires_s=60)
    assert await post(form, bytes(1001)) in (400, 403)
    assert await post(form, b"") in (400, 403)
    assert await post(form, bytes(10), key=other) == 403
    assert await post(form, bytes(10), **{"x-amz-signature": "0" * 64}) == 403
    assert [await store.blobs.size(each) for each in (key, other)] == [None, None]
    short = await store.blobs.signed_post(key, most_bytes=1000, expires_s=1)

    async def expired() -> bool:
        return await post(short, bytes(10)) == 403

    await until(expired)
