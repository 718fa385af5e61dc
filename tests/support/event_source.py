"""A reader of server-sent events, as strict as a browser."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx

JSON = Any


@dataclass(frozen=True)
class Sent:
    """An event."""

    id: str
    kind: str
    data: JSON


async def events(response: httpx.Response) -> AsyncIterator[Sent]:
    """Yields the events of a response. Comments and `retry` make none."""
    fields: dict[str, str] = {}
    async for line in response.aiter_lines():
        name, _, value = line.partition(":")
        if line and name:
            assert name in ("id", "event", "data", "retry"), line
            assert name not in fields, "each event has one line of JSON"
            fields[name] = value.removeprefix(" ")
        elif not line:
            if "data" in fields:
                yield Sent(fields.get("id", ""), fields.get("event", "message"), json.loads(fields["data"]))
            fields = {}


async def counted(http: httpx.AsyncClient, url: str, metric: str) -> float:
    """Returns the value of a metric, with its labels as they are written; 0: it is not there."""
    for line in (await http.get(url)).text.splitlines():
        name, _, value = line.rpartition(" ")
        if name == metric:
            return float(value)
    return 0.0
