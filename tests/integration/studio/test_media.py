"""Signed URLs over HTTP: the real process before a real API."""

import asyncio
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from google.protobuf.duration_pb2 import Duration
from i2v.v1 import asset_pb2

from tests.support import pictures
from tests.support.blob_stores import until
from tests.support.builders import ScriptedBackend
from tests.support.served_orchestrator import Served, caller, served
from tools.stack_process import HOST, StackProcess, free_port

PICTURE = pictures.a_picture()


class Rig:
    """An API, the HTTP process before it, and a client."""

    def __init__(self, i2v: Served, http: httpx.AsyncClient, log: Path, metrics: str) -> None:
        self.i2v = i2v
        self.http = http
        self.log = log
        self.metrics = metrics

    async def url(self, name: str, seconds: int = 60, **fields: Any) -> str:
        request = asset_pb2.SignUrlRequest(name=name, expire_in=Duration(seconds=seconds), **fields)
        return (await self.i2v.assets.SignUrl(request, metadata=caller())).url

    async def picture(self) -> tuple[asset_pb2.Asset, bytes]:
        asset = await self.i2v.upload(PICTURE)
        return asset, await self.i2v.download(asset.name)


@pytest.fixture
async def rig(database: str, tmp_path: Path) -> AsyncIterator[Rig]:
    port, metrics_port = free_port(), free_port()

    def change(values: dict[str, Any]) -> None:
        values["studio_url"] = f"http://{HOST}:{port}"

    async with served(database, tmp_path, {"test": (ScriptedBackend(), 1)}, change=change) as i2v:
        studio = StackProcess(
            "studio",
            "services.studio",
            log=tmp_path / "studio.log",
            ports={"HTTP": port, "metrics": metrics_port},
            environment=os.environ
            | {
                "PYTHONPATH": f"{Path.cwd()}:{Path.cwd() / 'gen'}",
                "I2V_STUDIO_LISTEN": f"{HOST}:{port}",
                "I2V_STUDIO_METRICS_LISTEN": f"{HOST}:{metrics_port}",
                "I2V_STUDIO_API": i2v.address,
                "I2V_STUDIO_DRAIN_S": "1",
            },
            speaks_grpc=False,
        )
        await asyncio.to_thread(studio.__enter__)
        try:
            async with httpx.AsyncClient(trust_env=False, timeout=30) as http:
                yield Rig(i2v, http, studio.log, f"http://{HOST}:{metrics_port}/metrics")
        finally:
            await asyncio.to_thread(studio.__exit__)


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


async def test_the_log_has_no_url_and_the_metrics_count(rig: Rig) -> None:
    asset, stored = await rig.picture()
    url = await rig.url(asset.name)
    await rig.http.get(url)
    await rig.http.get(url[:-3])
    assert "signed." not in rig.log.read_text()
    counted = (await rig.http.get(rig.metrics)).text
    assert 'i2v_studio_requests_total{method="GET",status="200"} 1.0' in counted
    assert 'i2v_studio_requests_total{method="GET",status="403"} 1.0' in counted
    assert f"i2v_studio_sent_bytes_total {float(len(stored))}" in counted
