"""`i2v assets ls`, `search` and `show`."""

import click
from i2v.v1 import asset_pb2, asset_pb2_grpc

from i2v_client import AsyncClient
from services.client import formatting, listing, money_format
from services.client.assets.group import assets
from services.client.commands import command, named
from services.client.completion.names import completed
from services.client.connection import Connection
from services.client.spec_options import utf8
from services.client.terminal import say

HEAD = ("NAME", "TYPE", "CREATED", "STARS", "DOWNLOADS", "TITLE", "TAGS")
ASSET = click.argument("name", callback=named("assets"), shell_complete=completed("assets"))
FILTER = click.option("--filter", "filter_", default="", callback=utf8, help="Such as 'type = video AND tags:cat'.")
LIMIT = click.option("--limit", type=click.IntRange(1), default=50, show_default=True)


@command("ls", assets)
@FILTER
@click.option("--order", default="", callback=utf8, help="create_time, update_time, cost, size or title; asc or desc.")
@click.option("--similar-to", default="", callback=utf8, help="Only what looks like this asset.")
@click.option("--deleted", is_flag=True, help="Also what is in the trash.")
@LIMIT
def ls(connection: Connection, filter_: str, order: str, similar_to: str, deleted: bool, limit: int) -> None:
    """Lists the library, the newest first."""
    request = asset_pb2.ListAssetsRequest(
        filter=filter_, order_by=order, show_deleted=deleted, similar_to=similar_to, page_size=min(limit, 500)
    )
    _list(connection, request, limit)


@command("search", assets)
@click.argument("words", callback=utf8)
@FILTER
@click.option("--newest", is_flag=True, help="The newest first, not the most relevant.")
@LIMIT
def search(connection: Connection, words: str, filter_: str, newest: bool, limit: int) -> None:
    """Searches titles, descriptions, prompts and tags, the most relevant first: words, "phrases", or, -not."""
    order = "create_time desc" if newest else "relevance desc"
    _list(
        connection,
        asset_pb2.ListAssetsRequest(query=words, filter=filter_, order_by=order, page_size=min(limit, 500)),
        limit,
    )


@command("show", assets)
@ASSET
def show(connection: Connection, name: str) -> None:
    """Shows what the library says of an asset."""

    async def work(client: AsyncClient) -> None:
        stub = asset_pb2_grpc.AssetServiceStub(client.channel())
        print_asset(connection, await client.call(stub.GetAsset, asset_pb2.GetAssetRequest(name=name)))

    connection.run(work)


def print_asset(connection: Connection, asset: asset_pb2.Asset) -> None:
    """Prints an asset, line by line or as JSON."""
    if connection.json:
        say(formatting.as_json(asset))
        return
    rows = [
        ("name", asset.name),
        ("type", asset.media_type),
        ("size", f"{asset.size_bytes} bytes"),
        ("title", asset.details.title),
        ("description", asset.details.description),
        ("tags", ", ".join(asset.details.tags)),
        ("source module", asset.details.source_module),
        ("favourite", "yes" if asset.favorite else "no"),
        ("rating", "*" * asset.rating),
        ("job", asset.origin.job),
        ("model", asset.origin.model),
        ("prompt", asset.origin.prompt),
        ("cost", money_format.text(asset.origin.cost) if asset.HasField("origin") else ""),
        ("downloads", str(asset.downloads)),
        ("shares", str(asset.shares)),
        ("last read", formatting.moment(asset.access_time) if asset.HasField("access_time") else ""),
        ("created", formatting.moment(asset.create_time)),
        ("updated", formatting.moment(asset.update_time)),
        ("etag", asset.etag),
    ]
    say(*formatting.columns([row for row in rows if row[1]]))


def _list(connection: Connection, request: asset_pb2.ListAssetsRequest, limit: int) -> None:
    async def work(client: AsyncClient) -> None:
        stub = asset_pb2_grpc.AssetServiceStub(client.channel())
        found = await listing.pages(client, stub.ListAssets, request, "assets", limit)
        listing.show(connection, found, HEAD, _row, "Nothing was found.", err=not found)

    connection.run(work)


def _row(asset: asset_pb2.Asset) -> tuple[str, ...]:
    return (
        asset.name,
        asset.media_type,
        formatting.moment(asset.create_time),
        ("+" if asset.favorite else "") + "*" * asset.rating,
        str(asset.downloads),
        asset.details.title,
        ", ".join(asset.details.tags),
    )
