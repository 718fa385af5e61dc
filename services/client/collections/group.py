"""The group `i2v collections`, and what its commands have in common."""

from typing import Any

import click
from i2v.v1 import collection_pb2, collection_pb2_grpc

from i2v_client import AsyncClient
from services.client import formatting
from services.client.commands import i2v, named
from services.client.connection import Connection
from services.client.terminal import say

COLLECTION = click.argument("name", metavar="COLLECTION", callback=named("collections"))


@i2v.group()
def collections() -> None:
    """Collects assets in albums. What is in one: `i2v assets ls --filter 'collection = NAME'`."""


def stub(client: AsyncClient) -> Any:
    """Returns the methods of CollectionService."""
    return collection_pb2_grpc.CollectionServiceStub(client.channel())


def print_collection(connection: Connection, found: collection_pb2.Collection) -> None:
    """Prints a collection, line by line or as JSON."""
    if connection.json:
        say(formatting.as_json(found))
        return
    rows = [
        ("name", found.name),
        ("title", found.title),
        ("description", found.description),
        ("assets", str(found.asset_count)),
        ("cover", found.cover),
        ("created", formatting.moment(found.create_time)),
        ("updated", formatting.moment(found.update_time)),
        ("etag", found.etag),
    ]
    say(*formatting.columns([row for row in rows if row[1]]))
