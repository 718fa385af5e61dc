"""More connections than the HTTP process allows: requests are refused in the form of their clients, and counted."""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from tests.support.blob_stores import until
from tests.support.event_source import counted
from tests.support.signed_in import READS, signed_in
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


async def test_a_key_or_a_session_does_not_take_the_connections_of_others(database: str, tmp_path: Path) -> None:
    async with before_an_api(database, tmp_path, None, {"MAX_CONNECTIONS": "10"}) as rig:
        url = f"{rig.address}/v1/usage"
        key, of_ann, of_eve = (
            {"Authorization": "Bearer studio-key"},
            await signed_in(rig),
            await signed_in(rig.of("eve")),
        )

        async def status(who: Mapping[str, str]) -> int:
            return (await rig.http.get(url, headers={**READS, **who, "Connection": "close"})).status_code

        for one, same, other in (
            (key, {"Authorization": "bearer  studio-key"}, {"Authorization": "Bearer story-key"}),
            (of_ann, {"Cookie": f"theme=dark; {of_ann['Cookie']}"}, of_eve),
        ):
            held = []
            async with AsyncExitStack() as streams:
                for _ in range(8):
                    stream = rig.http.stream("GET", f"{url}/events", headers={**READS, **one})
                    held.append((await streams.enter_async_context(stream)).status_code)
                found = held, await status(one), await status(same), await status(other)
                assert found == ([200] * 8, 503, 503, 200)

            async def served(who: Mapping[str, str] = one) -> bool:
                return await status(who) == 200

            await until(served)
