"""A proxy in front of a real PostgreSQL. When closed, it refuses like a server that cannot accept connections yet."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import psycopg
import sqlalchemy as sa
from psycopg.conninfo import conninfo_to_dict

from services.orchestrator.store.database import driver_url, plain_url

NO_ENCRYPTION = {80877103, 80877104}
"""Requests for TLS and GSSAPI, which a server may decline before the client authenticates."""


class PostgresProxy:
    """The proxy, and its address for clients."""

    def __init__(self, database: str) -> None:
        self._behind = {key: str(value) for key, value in conninfo_to_dict(plain_url(database)).items()}
        self._database = database
        self.refusal: tuple[str, str] | None = None
        """SQLSTATE and message of the refusal while it is closed; None: it is open."""
        self.port = 0
        self._serving: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """The URL of the database through this proxy."""
        url = sa.make_url(driver_url(self._database)).set(host="127.0.0.1", port=self.port, query={})
        return url.render_as_string(hide_password=False)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers one client."""
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        try:
            # asyncio logs an error for a cancelled task of a server, so it ends by itself.
            with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                if self.refusal is None:
                    await self._pass(reader, writer)
                else:
                    await self._refuse(reader, writer, *self.refusal)
        finally:
            self._serving.discard(task)
            writer.close()

    async def end(self) -> None:
        """Closes the connections of all clients."""
        serving = list(self._serving)
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving)

    async def _refuse(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, state: str, message: str
    ) -> None:
        while True:
            (length,) = struct.unpack("!I", await reader.readexactly(4))
            (code,) = struct.unpack_from("!I", await reader.readexactly(length - 4))
            if code not in NO_ENCRYPTION:
                break
            writer.write(b"N")
        fields = b"".join(
            key + value.encode() + b"\0" for key, value in ((b"S", "FATAL"), (b"C", state), (b"M", message))
        )
        writer.write(b"E" + struct.pack("!I", len(fields) + 5) + fields + b"\0")
        await writer.drain()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host, port = self._behind.get("host", "127.0.0.1"), self._behind.get("port", "5432")
        if host.startswith("/"):
            inner_reader, inner_writer = await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
        else:
            inner_reader, inner_writer = await asyncio.open_connection(host, int(port))
        try:
            await asyncio.gather(_pump(reader, inner_writer), _pump(inner_reader, writer))
        finally:
            inner_writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def postgres_proxy(database: str) -> AsyncIterator[PostgresProxy]:
    """A proxy in front of a database, open at first."""
    made = PostgresProxy(database)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    async with await psycopg.AsyncConnection.connect(plain_url(made.url)):
        pass
    try:
        yield made
    finally:
        server.close()
        await made.end()
