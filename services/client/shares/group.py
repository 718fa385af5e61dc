"""The group `i2v share`, and what its commands have in common."""

from typing import Any

import click
from i2v.v1 import share_pb2, share_pb2_grpc

from i2v_client import AsyncClient
from services.client import formatting
from services.client.commands import i2v, named
from services.client.connection import Connection
from services.client.terminal import say

SHARE = click.argument("name", metavar="SHARE", callback=named("shares"))


@i2v.group()
def share() -> None:
    """Shares assets and collections by links that expire, and that you can end at any time."""


def stub(client: AsyncClient) -> Any:
    """Returns the methods of ShareService."""
    return share_pb2_grpc.ShareServiceStub(client.channel())


def state(found: share_pb2.Share) -> str:
    """Returns `open`, `expired` or `revoked`."""
    return share_pb2.Share.State.Name(found.state).lower()


def print_share(connection: Connection, found: share_pb2.Share) -> None:
    """Prints a share, line by line or as JSON."""
    if connection.json:
        say(formatting.as_json(found))
        return
    rows = [
        ("share", found.name),
        ("of", found.asset or found.collection),
        ("state", state(found)),
        ("pass phrase", "yes" if found.has_pass_phrase else "no"),
        ("created", formatting.moment(found.create_time)),
        ("expires", formatting.moment(found.expire_time)),
        ("revoked", formatting.moment(found.revoke_time) if found.HasField("revoke_time") else ""),
        ("views", str(found.views)),
        ("last view", formatting.moment(found.view_time) if found.HasField("view_time") else ""),
        ("downloads", str(found.downloads)),
        ("last download", formatting.moment(found.download_time) if found.HasField("download_time") else ""),
    ]
    say(*formatting.columns([row for row in rows if row[1]]))
