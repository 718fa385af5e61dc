"""`i2v assets favorite`, `rate` and `edit`."""

import click
from i2v.v1 import asset_pb2, asset_pb2_grpc

from i2v_client import AsyncClient
from services.client.assets.group import assets
from services.client.assets.lists import ASSET, print_asset
from services.client.commands import command
from services.client.connection import Connection
from services.client.spec_options import utf8


def _text(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Returns a text that may be missing: an empty one is a change too."""
    return None if value is None else utf8(context, parameter, value)


@command("favorite", assets)
@ASSET
@click.option("--no", "not_one", is_flag=True, help="It is no longer a favourite.")
def favorite(connection: Connection, name: str, not_one: bool) -> None:
    """Makes an asset a favourite."""

    async def work(client: AsyncClient) -> None:
        stub = asset_pb2_grpc.AssetServiceStub(client.channel())
        request = asset_pb2.FavoriteAssetRequest(name=name, favorite=not not_one)
        print_asset(connection, await client.call(stub.FavoriteAsset, request))

    connection.run(work)


@command("rate", assets)
@ASSET
@click.argument("stars", type=click.IntRange(0, 5))
def rate(connection: Connection, name: str, stars: int) -> None:
    """Rates an asset with 1 to 5 stars; 0 removes the rating."""
    request = asset_pb2.UpdateAssetRequest(asset=asset_pb2.Asset(name=name, rating=stars))
    request.update_mask.paths.append("rating")
    _update(connection, request)


@command("edit", assets)
@ASSET
@click.option("--title", callback=_text)
@click.option("--description", callback=_text)
@click.option("--source-module", callback=_text)
@click.option("--etag", default="", callback=utf8, help="Only if it has not changed since; `show` prints it.")
def edit(
    connection: Connection, name: str, title: str | None, description: str | None, source_module: str | None, etag: str
) -> None:
    """Changes the texts of an asset."""
    request = asset_pb2.UpdateAssetRequest(asset=asset_pb2.Asset(name=name, etag=etag))
    for field, text in (("title", title), ("description", description), ("source_module", source_module)):
        if text is not None:
            setattr(request.asset.details, field, text)
            request.update_mask.paths.append(f"details.{field}")
    if not request.update_mask.paths:
        raise click.UsageError("Give at least one of --title, --description and --source-module.")
    _update(connection, request)


def _update(connection: Connection, request: asset_pb2.UpdateAssetRequest) -> None:
    async def work(client: AsyncClient) -> None:
        stub = asset_pb2_grpc.AssetServiceStub(client.channel())
        print_asset(connection, await client.call(stub.UpdateAsset, request))

    connection.run(work)
