"""`i2v share ls`, `show` and `revoke`."""

import click
from i2v.v1 import share_pb2

from i2v_client import AsyncClient
from services.client import formatting, listing
from services.client.commands import command
from services.client.connection import Connection
from services.client.shares.group import SHARE, print_share, share, state, stub
from services.client.terminal import say

HEAD = ("NAME", "STATE", "EXPIRES", "VIEWS", "DOWNLOADS", "PASS PHRASE", "OF")


@command("ls", share)
@click.option("--open", "open_only", is_flag=True, help="Only those that are open.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True)
def ls(connection: Connection, open_only: bool, limit: int) -> None:
    """Lists your shares, the newest first. Links are not shown again: a new share has a new one."""

    async def work(client: AsyncClient) -> None:
        request = share_pb2.ListSharesRequest(page_size=min(limit, 200), open_only=open_only)
        found = await listing.pages(client, stub(client).ListShares, request, "shares", limit)
        listing.show(connection, found, HEAD, _row, "There are no shares.", err=not found)

    connection.run(work)


@command("show", share)
@SHARE
def show(connection: Connection, name: str) -> None:
    """Shows a share, and how often it was used."""

    async def work(client: AsyncClient) -> None:
        print_share(connection, await client.call(stub(client).GetShare, share_pb2.GetShareRequest(name=name)))

    connection.run(work)


@command("revoke", share)
@SHARE
def revoke(connection: Connection, name: str) -> None:
    """Ends a share now. There is no way back; make another one."""

    async def work(client: AsyncClient) -> None:
        found = await client.call(stub(client).RevokeShare, share_pb2.RevokeShareRequest(name=name))
        say(formatting.as_json(found) if connection.json else f"{found.name} is {state(found)}.")

    connection.run(work)


def _row(found: share_pb2.Share) -> tuple[str, ...]:
    return (
        found.name,
        state(found),
        formatting.moment(found.expire_time),
        str(found.views),
        str(found.downloads),
        "yes" if found.has_pass_phrase else "no",
        found.asset or found.collection,
    )
