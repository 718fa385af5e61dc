"""`i2v admin`, and what its commands have in common: reasons, lengths of time, pages and tables."""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import click
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from services.client import formatting
from services.client.client import Client
from services.client.commands import i2v, named
from services.client.connection import Connection
from services.client.terminal import say

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
DAYS_MOST = 36_500


@i2v.group()
def admin() -> None:
    """For operators, with their key. A tenant's admin may use keys and log."""


class Period(click.ParamType[timedelta]):
    """A length of time: `90d`, `12h`, `30m` or `0s`."""

    name = "period"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Returns the length."""
        found = re.fullmatch(r"(\d{1,9})([smhd])", str(value))
        if found is None:
            self.fail("a number with s, m, h or d, such as 90d", param, ctx)
        period = timedelta(seconds=int(found[1]) * UNITS[found[2]])
        if period > timedelta(days=DAYS_MOST):
            self.fail(f"at most {DAYS_MOST}d", param, ctx)
        return period


TENANT = click.argument("tenant", callback=named("tenants"))
REASON = click.option("--reason", required=True, help="Why; it goes into the audit log.")
PERIOD = Period()


def since_now(period: timedelta | None) -> Timestamp | None:
    """Returns the moment after a period from now."""
    if period is None:
        return None
    moment = Timestamp()
    moment.FromDatetime(datetime.now(UTC) + period)
    return moment


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
