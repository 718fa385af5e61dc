"""Lists that come in pages, and how they are printed."""

from collections.abc import Callable, Sequence
from typing import Any

from google.protobuf.message import Message

from services.client import formatting
from services.client.client import Client
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


async def pages(client: Client, method: Any, request: Any, field: str, limit: int | None = None) -> list[Any]:
    """Returns the messages of all pages, or the first ones."""
    found: list[Any] = []
    while True:
        page = await client.call(method, request)
        found += getattr(page, field)
        if not page.next_page_token or (limit is not None and len(found) >= limit):
            return found[:limit]
        request.page_token = page.next_page_token
