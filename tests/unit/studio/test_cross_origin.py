"""Which pages may call `/v1`: those of the origins that a setting names, and never with a browser's credentials."""

from collections.abc import Sequence

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from services.settings import BadSetting
from services.studio.cors import CrossOrigin
from services.studio.settings import Settings

PREFLIGHT = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}


async def answer(request: Request) -> Response:
    return PlainTextResponse("here")


def client(origins: Sequence[str]) -> httpx.AsyncClient:
    app = Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST"])])
    return httpx.AsyncClient(transport=httpx.ASGITransport(CrossOrigin(app, origins)), base_url="http://studio")


@pytest.mark.parametrize("origins", [["*"], ["https://a.example"]])
async def test_no_answer_allows_credentials_of_a_browser(origins: Sequence[str]) -> None:
    async with client(origins) as http:
        headers = {"Origin": "https://a.example", "Cookie": "a=b", **PREFLIGHT}
        for found in (await http.get("/v1/jobs", headers=headers), await http.options("/v1/jobs", headers=headers)):
            assert found.headers["access-control-allow-origin"] in (*origins, "https://a.example")
            assert "access-control-allow-credentials" not in found.headers


@pytest.mark.parametrize(
    "origin",
    ["https://a.example.evil.example", "http://a.example", "https://A.example:444", "null", "https://b.example"],
)
async def test_an_origin_that_only_looks_like_a_chosen_one_is_another(origin: str) -> None:
    async with client(["https://a.example"]) as http:
        read = await http.get("/v1/jobs", headers={"Origin": origin})
        asked = await http.options("/v1/jobs", headers={"Origin": origin, **PREFLIGHT})
        assert (read.status_code, asked.status_code) == (200, 400)
        assert not [name for found in (read, asked) for name in found.headers if name == "access-control-allow-origin"]


async def test_pages_of_shares_and_files_are_not_of_the_api() -> None:
    async with client(["*"]) as http:
        for path in ("/s/token", "/media/token", "/v10/jobs"):
            assert (
                "access-control-allow-origin" not in (await http.get(path, headers={"Origin": "https://a.b"})).headers
            )


@pytest.mark.parametrize(
    "text", ["a.example", "https://a.example/", "https://a.example,", "null", "*,https://a.example"]
)
def test_a_setting_that_is_no_list_of_origins_is_refused(text: str) -> None:
    with pytest.raises(BadSetting, match="CORS_ORIGINS"):
        Settings.from_environment({"I2V_STUDIO_CORS_ORIGINS": text})


def test_a_setting_lists_origins() -> None:
    given = "https://a.example,http://localhost:3000"
    assert Settings.from_environment({"I2V_STUDIO_CORS_ORIGINS": given}).origins() == given.split(",")
    assert Settings.from_environment({}).origins() == []
