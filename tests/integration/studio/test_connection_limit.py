"""More connections than the HTTP process allows: requests are refused in the form of their clients, and counted."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from tests.support.blob_stores import until
from tests.support.event_source import counted
from tests.support.studio_rig import before_an_api


async def test_a_request_above_the_limit_is_refused_and_its_connection_closed(database: str, tmp_path: Path) -> None:
    async with before_an_api(database, tmp_path, None, {"MAX_CONNECTIONS": "2"}) as rig:
        url = urlsplit(rig.address)
        idle = [await asyncio.open_connection(url.hostname, url.port) for _ in range(2)]

        async def asked(path: str) -> httpx.Response:
            async with httpx.AsyncClient(trust_env=False) as http:
                return await http.get(f"{rig.address}{path}", headers={"Authorization": "Bearer studio-key"})

        ours, openai = await asked("/v1/usage"), await asked("/v1/videos")
        assert (ours.json()["reason"], openai.json()["error"]["code"]) == ("CONNECTIONS_FULL", "CONNECTIONS_FULL")
        for refused in (ours, openai):
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
            assert refused.headers["connection"] == "close"
        assert ours.headers["content-type"] == "application/problem+json"
        assert await counted(rig.http, rig.metrics, 'i2v_studio_requests_total{method="GET",route="none",status="503"}')
        for _, writer in idle:
            writer.close()

        async def served() -> bool:
            return (await asked("/v1/usage")).status_code == 200

        await until(served)


async def test_a_key_does_not_take_the_connections_of_others(database: str, tmp_path: Path) -> None:
    async with before_an_api(database, tmp_path, None, {"MAX_CONNECTIONS": "10"}) as rig:
        url, held = f"{rig.address}/v1/usage", []

        async def status(key: str) -> int:
            headers = {"Authorization": f"Bearer {key}", "Connection": "close"}
            return (await rig.http.get(url, headers=headers)).status_code

        key = {"Authorization": "Bearer studio-key"}
        async with AsyncExitStack() as streams:
            for _ in range(8):
                stream = rig.http.stream("GET", f"{url}/events", headers=key)
                held.append((await streams.enter_async_context(stream)).status_code)
            assert (held, await status("studio-key"), await status("story-key")) == ([200] * 8, 503, 200)

        async def served() -> bool:
            return await status("studio-key") == 200

        await until(served)
