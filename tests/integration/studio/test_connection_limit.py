"""More connections than the HTTP process allows: requests are refused in the form of their clients, and counted."""

import asyncio
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
