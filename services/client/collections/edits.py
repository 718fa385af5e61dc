"""`i2v collections create`, `edit`, `cover`, `rm`, `add` and `remove`."""

import uuid

import click
from i2v.v1 import collection_pb2

from i2v_client import AsyncClient
from services.client import formatting
from services.client.collections.group import COLLECTION, collections, print_collection, stub
from services.client.commands import command, named
from services.client.connection import Connection
from services.client.exit_codes import ExitCode
from services.client.spec_options import utf8
from services.client.terminal import say

NAMES_AT_ONCE = 1000
ETAG = click.option("--etag", default="", callback=utf8, help="Only if it has not changed since; `show` prints it.")


def _full(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(named("assets")(context, parameter, value) for value in values)


def _text(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Returns a text that may be missing: an empty one is a change too."""
    return None if value is None else utf8(context, parameter, value)


ASSETS = click.argument("assets", nargs=-1, required=True, callback=_full)


@command("create", collections)
@click.argument("title", callback=utf8)
@click.option("--description", default="", callback=utf8)
def create(connection: Connection, title: str, description: str) -> None:
    """Makes an empty collection."""

    async def work(client: AsyncClient) -> None:
        # A repeat of a call that was not answered has the same id, so it makes no second collection.
        request = collection_pb2.CreateCollectionRequest(request_id=str(uuid.uuid4()))
        request.collection.title, request.collection.description = title, description
        print_collection(connection, await client.call(stub(client).CreateCollection, request))

    connection.run(work)


@command("edit", collections)
@COLLECTION
@click.option("--title", callback=_text)
@click.option("--description", callback=_text)
@ETAG
def edit(connection: Connection, name: str, title: str | None, description: str | None, etag: str) -> None:
    """Changes the texts of a collection."""
    request = collection_pb2.UpdateCollectionRequest(collection=collection_pb2.Collection(name=name, etag=etag))
    for field, text in (("title", title), ("description", description)):
        if text is not None:
            setattr(request.collection, field, text)
            request.update_mask.paths.append(field)
    if not request.update_mask.paths:
        raise click.UsageError("Give at least one of --title and --description.")
    _update(connection, request)


@command("cover", collections)
@COLLECTION
@click.argument("asset", default="", callback=lambda *given: named("assets")(*given) if given[2] else "")
def cover(connection: Connection, name: str, asset: str) -> None:
    """Chooses one of its assets as the cover; without an asset the one that was added last is the cover."""
    request = collection_pb2.UpdateCollectionRequest(collection=collection_pb2.Collection(name=name, cover=asset))
    request.update_mask.paths.append("cover")
    _update(connection, request)


@command("rm", collections)
@COLLECTION
@ETAG
def rm(connection: Connection, name: str, etag: str) -> None:
    """Deletes a collection, and no asset."""

    async def work(client: AsyncClient) -> None:
        request = collection_pb2.DeleteCollectionRequest(name=name, etag=etag)
        found = await client.call(stub(client).DeleteCollection, request)
        say(formatting.as_json(found) if connection.json else f"{found.name} is deleted.")

    connection.run(work)


@command("add", collections)
@COLLECTION
@ASSETS
def add(connection: Connection, name: str, assets: tuple[str, ...]) -> None:
    """Adds assets to a collection."""

    async def work(client: AsyncClient) -> ExitCode:
        total = collection_pb2.AddAssetsResponse()
        for first in range(0, len(assets), NAMES_AT_ONCE):
            request = collection_pb2.AddAssetsRequest(name=name, assets=assets[first : first + NAMES_AT_ONCE])
            answer = await client.call(stub(client).AddAssets, request)
            total.added += answer.added
            total.left.extend(answer.left)
        if connection.json:
            say(formatting.as_json(total))
        else:
            say(f"{total.added} added.")
            say(*(f"{each} was left: it does not exist, or is in the trash." for each in total.left), err=True)
        return ExitCode.UNKNOWN if total.left else ExitCode.OK

    connection.run(work)


@command("remove", collections)
@COLLECTION
@ASSETS
def remove(connection: Connection, name: str, assets: tuple[str, ...]) -> None:
    """Removes assets from a collection. The library keeps them."""

    async def work(client: AsyncClient) -> None:
        total = collection_pb2.RemoveAssetsResponse()
        for first in range(0, len(assets), NAMES_AT_ONCE):
            request = collection_pb2.RemoveAssetsRequest(name=name, assets=assets[first : first + NAMES_AT_ONCE])
            total.removed += (await client.call(stub(client).RemoveAssets, request)).removed
        say(formatting.as_json(total) if connection.json else f"{total.removed} removed.")

    connection.run(work)


def _update(connection: Connection, request: collection_pb2.UpdateCollectionRequest) -> None:
    async def work(client: AsyncClient) -> None:
        print_collection(connection, await client.call(stub(client).UpdateCollection, request))

    connection.run(work)
