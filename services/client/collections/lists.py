"""`i2v collections ls` and `show`."""

import click
from i2v.v1 import collection_pb2

from i2v_client import AsyncClient
from services.client import formatting, listing
from services.client.collections.group import COLLECTION, collections, print_collection, stub
from services.client.commands import command
from services.client.connection import Connection

HEAD = ("NAME", "CREATED", "ASSETS", "TITLE")


@command("ls", collections)
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True)
def ls(connection: Connection, limit: int) -> None:
    """Lists your collections, the newest first."""

    async def work(client: AsyncClient) -> None:
        request = collection_pb2.ListCollectionsRequest(page_size=min(limit, 200))
        found = await listing.pages(client, stub(client).ListCollections, request, "collections", limit)
        listing.show(connection, found, HEAD, _row, "There are no collections.", err=not found)

    connection.run(work)


@command("show", collections)
@COLLECTION
def show(connection: Connection, name: str) -> None:
    """Shows a collection."""

    async def work(client: AsyncClient) -> None:
        request = collection_pb2.GetCollectionRequest(name=name)
        print_collection(connection, await client.call(stub(client).GetCollection, request))

    connection.run(work)


def _row(found: collection_pb2.Collection) -> tuple[str, ...]:
    return found.name, formatting.moment(found.create_time), str(found.asset_count), found.title
