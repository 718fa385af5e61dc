"""`i2v assets tag` and `untag`: tags of one asset, or of all that a filter selects."""

from typing import Any

import click
from i2v.v1 import asset_pb2, asset_pb2_grpc

from i2v_client import AsyncClient
from services.client import formatting
from services.client.assets.group import assets
from services.client.assets.lists import FILTER, print_asset
from services.client.commands import command
from services.client.connection import Connection
from services.client.spec_options import utf8
from services.client.terminal import say


def _texts(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(utf8(context, parameter, value) for value in values))


TEXTS = click.argument("texts", nargs=-1, required=True, metavar="[ASSET] TAGS...", callback=_texts)
DRY_RUN = click.option("--dry-run", is_flag=True, help="Change nothing; only count.")


@command("tag", assets)
@TEXTS
@FILTER
@DRY_RUN
def tag(connection: Connection, texts: tuple[str, ...], filter_: str, dry_run: bool) -> None:
    """Adds tags to an asset, or with --filter to all assets that it selects, at most 1,000."""
    request, tags = _request(texts, filter_, dry_run)
    request.add_tags.extend(tags)
    _change(connection, request)


@command("untag", assets)
@TEXTS
@FILTER
@DRY_RUN
def untag(connection: Connection, texts: tuple[str, ...], filter_: str, dry_run: bool) -> None:
    """Removes tags from an asset, or with --filter from all assets that it selects, at most 1,000."""
    request, tags = _request(texts, filter_, dry_run)
    request.remove_tags.extend(tags)
    _change(connection, request)


def _request(
    texts: tuple[str, ...], filter_: str, dry_run: bool
) -> tuple[asset_pb2.BatchUpdateAssetsRequest, tuple[str, ...]]:
    """Returns the request without its tags, and the tags."""
    if filter_:
        return asset_pb2.BatchUpdateAssetsRequest(filter=filter_, dry_run=dry_run), texts
    name, *tags = texts
    if not tags:
        raise click.UsageError("Give an asset and at least one tag, or --filter and tags.")
    names = [name if "/" in name else f"assets/{name}"]
    return asset_pb2.BatchUpdateAssetsRequest(names=names, dry_run=dry_run), tuple(tags)


def _change(connection: Connection, request: asset_pb2.BatchUpdateAssetsRequest) -> None:
    async def work(client: AsyncClient) -> None:
        stub: Any = asset_pb2_grpc.AssetServiceStub(client.channel())
        answer = await client.call(stub.BatchUpdateAssets, request)
        if request.names and not request.dry_run:
            found = await client.call(stub.GetAsset, asset_pb2.GetAssetRequest(name=request.names[0]))
            print_asset(connection, found)
        elif connection.json:
            say(formatting.as_json(answer))
        else:
            say(f"{answer.updated} of {answer.selected} {'would be ' if request.dry_run else ''}changed.")

    connection.run(work)
