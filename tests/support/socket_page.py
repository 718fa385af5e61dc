"""A page that talks Socket.IO: python-socketio's client, and what it got."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
import socketio
from socketio.exceptions import ConnectionError

from tests.support.studio_rig import Rig

EVENTS = ("status", "progress", "frame_ready", "generation_complete", "error", "mode_changed", "image_uploaded")
KEY = "studio-key"
START = {"mode": "t2v", "prompt": "a wave", "seed": 7}


class Page:
    """A connected client."""

    def __init__(self, session: aiohttp.ClientSession, *, reconnects: bool) -> None:
        self.client = socketio.AsyncClient(
            http_session=session, reconnection=reconnects, reconnection_delay=0.1, reconnection_delay_max=0.5
        )
        self.got: list[tuple[str, Any]] = []
        self._taken: dict[str, int] = {}
        self._came = asyncio.Event()
        self.acknowledges = asyncio.Event()
        """While it is not set, the page does not acknowledge frames."""
        self.acknowledges.set()
        for name in EVENTS:
            self.client.on(name, self._noting(name))

    def all(self, name: str) -> list[Any]:
        """Returns what came of an event."""
        return [data for event, data in self.got if event == name]

    async def next(self, name: str, within_s: float = 60) -> Any:
        """Waits for the next event of a name."""
        place = self._taken.get(name, 0)
        async with asyncio.timeout(within_s):
            while len(self.all(name)) <= place:
                self._came.clear()
                await self._came.wait()
        self._taken[name] = place + 1
        return self.all(name)[place]

    async def until(self, name: str, count: int) -> list[Any]:
        """Waits until so many events of a name have come."""
        async with asyncio.timeout(60):
            while len(self.all(name)) < count:
                self._came.clear()
                await self._came.wait()
        return self.all(name)

    async def drop(self) -> None:
        """Breaks the connection without a word."""
        await self.client.eio.ws.close()

    def _noting(self, name: str) -> Any:
        async def note(data: Any) -> None:
            self.got.append((name, data))
            self._came.set()
            if name == "frame_ready":
                await self.acknowledges.wait()

        return note


@asynccontextmanager
async def page(
    rig: Rig,
    auth: dict[str, Any] | None = None,
    transports: tuple[str, ...] = ("websocket",),
    *,
    reconnects: bool = False,
    headers: dict[str, str] | None = None,
    **more: Any,
) -> AsyncIterator[Page]:
    """Yields a page that is connected as the rig's user."""
    auth = {"key": KEY, "user": rig.user} | more if auth is None else auth
    async with page_at(rig.address, auth, transports, reconnects=reconnects, headers=headers) as it:
        yield it


@asynccontextmanager
async def page_at(
    address: str,
    auth: dict[str, Any],
    transports: tuple[str, ...] = ("websocket",),
    *,
    reconnects: bool = False,
    headers: dict[str, str] | None = None,
) -> AsyncIterator[Page]:
    """Yields a page that is connected to an address."""
    async with aiohttp.ClientSession() as session:
        it = Page(session, reconnects=reconnects)
        await it.client.connect(address, headers=dict(headers or {}), auth=auth, transports=list(transports))
        try:
            yield it
        finally:
            await it.client.disconnect()


async def refused(rig: Rig, auth: Any, headers: dict[str, str] | None = None) -> dict[str, Any]:
    """Tries to connect, and returns why it was refused; nothing, if before the handshake."""
    client, why = socketio.AsyncClient(reconnection=False), []
    client.on("connect_error", why.append)
    with pytest.raises(ConnectionError):
        await client.connect(rig.address, headers=dict(headers or {}), auth=auth, transports=["websocket"])
    await client.disconnect()
    return why[0]["data"] if isinstance(why[0], dict) else {}
