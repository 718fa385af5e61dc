"""A connection of Socket.IO that sends what a test writes."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp

from tests.support.socket_page import KEY
from tests.support.studio_rig import Rig

PATH = "/socket.io/?EIO=4&transport="
PING, EVENT, CONNECTED = "2", "42", "40"


class RawSocket:
    """An open WebSocket."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self.ws = ws

    async def send(self, *messages: str | bytes) -> None:
        """Sends text or binary messages."""
        for each in messages:
            await (self.ws.send_bytes(each) if isinstance(each, bytes) else self.ws.send_str(each))

    async def pour(self, messages: list[str | bytes] | list[str]) -> None:
        """Sends messages until the connection is closed."""
        with suppress(ConnectionError):
            await self.send(*messages)

    async def next(self, kind: str, within_s: float = 30) -> Any:
        """Returns the JSON of the next message of a kind; None: the connection was closed."""
        async with asyncio.timeout(within_s):
            async for message in self.ws:
                if message.data == PING:
                    await self.ws.send_str("3")
                elif isinstance(message.data, str) and message.data.startswith(kind):
                    return json.loads(message.data[len(kind) :])
        return None

    async def error(self) -> str:
        """Returns the reason of the next error; empty: the connection was closed."""
        while (event := await self.next(EVENT)) is not None:
            if event[0] == "error":
                return str(event[1]["reason"])
        return ""

    async def closed(self) -> bool:
        """Returns whether the server closes the connection within a while."""
        async with asyncio.timeout(30):
            async for message in self.ws:
                if message.data == PING:
                    return False
        return True


@asynccontextmanager
async def raw_socket(
    rig: Rig, *, enters: bool = True, headers: dict[str, str] | None = None
) -> AsyncIterator[RawSocket]:
    """Yields a connection that has said who it is."""
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{rig.address}{PATH}websocket", max_msg_size=0) as ws,
    ):
        it = RawSocket(ws)
        await it.send("40" + json.dumps({"key": KEY, "user": rig.user}))
        assert await it.next(CONNECTED)
        yield it
