"""Receivers of webhooks on real sockets, good ones and bad ones."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
NAME = "hooks.example"


@dataclass(frozen=True, slots=True)
class Received:
    """One request."""

    headers: dict[str, str]
    """With names in lower case."""
    body: str

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def data(self) -> Any:
        return json.loads(self.body)["data"]


@dataclass
class Receiver:
    """A server that keeps what it gets. `status` is what it answers now; `behave` replaces how it answers."""

    status: int = 204
    headers: str = ""
    """More lines of the answer, each with its end."""
    behave: Behaviour | None = None
    refuses: Callable[[Received], bool] | None = None
    """Requests that are answered with 500."""
    port: int = 0
    got: list[Received] = field(default_factory=list)
    connections: int = 0
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def until(self, count: int) -> list[Received]:
        """Waits until so many requests have come, and returns all."""
        async with asyncio.timeout(60):
            while len(self.got) < count:
                self.arrived.clear()
                await self.arrived.wait()
        return self.got

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
                pairs = [line.split(": ", 1) for line in head[1:] if ": " in line]
                headers = {name.lower(): value for name, value in pairs}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                self.got.append(Received(headers, body.decode()))
                self.arrived.set()
                if self.behave is not None:
                    await self.behave(reader, writer)
                    break
                refused = self.refuses is not None and self.refuses(self.got[-1])
                writer.write(
                    f"HTTP/1.1 {500 if refused else self.status} X\r\n{self.headers}content-length: 0\r\n\r\n".encode()
                )
                await writer.drain()
        writer.close()


@asynccontextmanager
async def receiving(
    receiver: Receiver, certificate: tuple[Path, Path] | None = None, host: str = "127.0.0.1", port: int = 0
) -> AsyncIterator[Receiver]:
    """Serves on this machine, by TLS if there is a certificate; what is open at the end is closed."""
    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await receiver.serve(reader, writer)
        except asyncio.CancelledError:
            writer.close()
        finally:
            tasks.discard(task)

    server = await asyncio.start_server(serve, host, port, ssl=context)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await server.wait_closed()
