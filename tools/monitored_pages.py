"""The load of a monitored run that comes over HTTP: requests, streams of events, Socket.IO, and webhooks' receivers."""

import asyncio
import itertools
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import socketio

from i2v_client import AsyncClient
from tools.stack_process import HOST, free_port

USER = "ann"
WANTED = {"mode": "t2v", "prompt": "a wave", "model": "nano", "use_taehv": True}
WITHIN_S = 60.0


class Pages:
    """Callers over HTTP, with one key."""

    def __init__(self, url: str, certificate: Path, key: str) -> None:
        """`url` is the one of the HTTP process, whose certificate is its own authority."""
        self._url, self._key = url, key
        self._context = ssl.create_default_context(cafile=str(certificate))
        self._numbers = itertools.count()

    async def look(self) -> None:
        """Lists jobs, reads one, and the events of it to their end; and asks for one that is not there."""
        headers = {"Authorization": f"Bearer {self._key}", "I2V-User": USER}
        async with httpx.AsyncClient(
            base_url=self._url, headers=headers, verify=self._context, trust_env=False, timeout=WITHIN_S
        ) as http:
            await http.get("/v1/jobs/" + "0" * 32)
            for job in (await http.get("/v1/jobs", params={"pageSize": "1"})).json().get("jobs", []):
                await http.get(f"/v1/{job['name']}")
                async with http.stream("GET", f"/v1/{job['name']}/events") as events:
                    async for _ in events.aiter_lines():
                        pass

    async def watch(self) -> None:
        """Makes a video by Socket.IO, loses the connection after some frames, and continues; and makes a mistake."""
        auth = {"key": self._key, "user": f"page-{next(self._numbers)}"}
        async with self._page(auth) as (page, _, frame):
            await page.call("start_generation", {**WANTED, "prompt": ""})
            answer: Any = await page.call("start_generation", WANTED)
            await asyncio.wait_for(frame.wait(), WITHIN_S)
        jobs = [{"job_id": answer["job_id"], "frame_index": 0}]
        async with self._page(auth | {"jobs": jobs}) as (_, done, _):
            await asyncio.wait_for(done.wait(), WITHIN_S)

    @asynccontextmanager
    async def _page(self, auth: Any) -> AsyncIterator[tuple[socketio.AsyncClient, asyncio.Event, asyncio.Event]]:
        done, frame = asyncio.Event(), asyncio.Event()
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=self._context)) as session:
            page = socketio.AsyncClient(http_session=session, reconnection=False)
            page.on("frame_ready", lambda _: frame.set())
            page.on("generation_complete", lambda _: done.set())
            await page.connect(self._url, auth=auth, transports=["websocket"])
            try:
                yield page, done, frame
            finally:
                await page.disconnect()


@asynccontextmanager
async def receivers(client: AsyncClient) -> AsyncIterator[None]:
    """Gives the tenant two endpoints of webhooks: one takes what comes, no one listens at the other."""

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).lower():
                await reader.readexactly(int(head.partition(b"content-length: ")[2].split(b"\r\n")[0]))
                writer.write(b"HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n")
        # At the end of the run it is cancelled.
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            writer.close()

    server = await asyncio.start_server(take, HOST, 0)
    async with server:
        for port in (server.sockets[0].getsockname()[1], free_port()):
            await client.webhooks.create(f"http://{HOST}:{port}/hooks")
        yield
