"""`/openapi.json` and `/docs` as a browser and a program get them. No API is needed."""

import gzip
from collections.abc import AsyncIterator

import httpx
import pytest
from prometheus_client import CollectorRegistry

from services.studio.app import open_app
from services.studio.openapi.description_routes import DOCUMENT
from services.studio.settings import Settings


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    settings = Settings(listen="127.0.0.1:0", metrics_listen="", api="127.0.0.1:9")
    async with (
        open_app(settings, registry=CollectorRegistry()) as app,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{app.port}", trust_env=False) as client,
    ):
        yield client


async def test_the_document_is_served_as_it_is_in_the_package(http: httpx.AsyncClient) -> None:
    plain = await http.get("/openapi.json", headers={"Accept-Encoding": "identity"})
    assert (plain.status_code, plain.headers["content-type"]) == (200, "application/json")
    assert plain.content == DOCUMENT.read_bytes()
    assert "content-encoding" not in plain.headers


async def test_it_comes_compressed_to_who_can_read_that(http: httpx.AsyncClient) -> None:
    async with http.stream("GET", "/openapi.json", headers={"Accept-Encoding": "gzip"}) as packed:
        raw = b"".join([chunk async for chunk in packed.aiter_raw()])
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.headers["vary"] == "Accept-Encoding"
    assert gzip.decompress(raw) == DOCUMENT.read_bytes()
    assert len(raw) < len(DOCUMENT.read_bytes()) / 5


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        ("br, gzip, deflate", "gzip"),
        ("GZIP;q=0.5", "gzip"),
        ("gzip;q=0", None),
        ("gzip; q=0.00, br", None),
        ("x-gzip-like", None),
        ("*;q=0", None),
        ("", None),
    ],
)
async def test_it_comes_compressed_only_to_who_asks_for_that(
    http: httpx.AsyncClient, accepted: str, encoding: str | None
) -> None:
    answer = await http.head("/openapi.json", headers={"Accept-Encoding": accepted})
    assert answer.headers.get("content-encoding") == encoding


@pytest.mark.parametrize("path", ["/openapi.json", "/docs"])
@pytest.mark.parametrize("encoding", ["identity", "gzip"])
async def test_who_has_it_gets_no_second_copy(http: httpx.AsyncClient, path: str, encoding: str) -> None:
    wanted = {"Accept-Encoding": encoding}
    tag = (await http.get(path, headers=wanted)).headers["etag"]
    again = await http.get(path, headers=wanted | {"If-None-Match": tag})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert (await http.get(path, headers=wanted | {"If-None-Match": '"other"'})).status_code == 200


async def test_the_page_runs_nothing_and_loads_nothing(http: httpx.AsyncClient) -> None:
    page = await http.get("/docs")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.text.startswith("<!doctype html>")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "script" not in policy and "unsafe" not in policy
    assert page.headers["x-content-type-options"] == "nosniff"
    head = await http.head("/docs")
    assert (head.status_code, head.content) == (200, b"")


async def test_nothing_is_written_to_them(http: httpx.AsyncClient) -> None:
    assert (await http.post("/openapi.json")).status_code == 405
    assert (await http.post("/docs")).status_code == 405
