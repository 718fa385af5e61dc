"""Lists that come in pages, and how they are printed."""

from collections.abc import Callable, Sequence
from typing import Any

from google.protobuf.message import Message

from i2v_client import AsyncClient
from services.client import formatting
from services.client.connection import Connection
from services.client.terminal import say


def show(
    connection: Connection,
    found: Sequence[Message],
    head: Sequence[str],
    row: Callable[[Any], Sequence[str]],
    nothing: str,
    *,
    err: bool = False,
) -> None:
    """Prints messages as JSON or as a table, the table to stderr with `err`."""
    if connection.json:
        say(*map(formatting.as_json, found))
    else:
        say(*(formatting.columns([head, *map(row, found)]) if found else [nothing]), err=err)


async def pages(client: AsyncClient, method: Any, request: Any, field: str, limit: int | None = None) -> list[Any]:
    """Returns the messages of all pages, or the first ones."""
    found: list[Any] = []
    async for message in client.each(method, request, field):
        found.append(message)
        if len(found) == limit:
            break
    return found
