"""`i2v assets rm`, `restore` and `empty-trash`: deletion, and the way back."""

from typing import Any

import click
from i2v.v1 import asset_pb2, asset_pb2_grpc

from i2v_client import AsyncClient
from services.client import formatting
from services.client.assets.group import assets
from services.client.assets.lists import FILTER
from services.client.commands import command, named
from services.client.completion.names import completed
from services.client.connection import Connection
from services.client.exit_codes import ExitCode
from services.client.terminal import say

NAMES_AT_ONCE = 1000
DRY_RUN = click.option("--dry-run", is_flag=True, help="Delete nothing; only count.")


def _stub(client: AsyncClient) -> Any:
    return asset_pb2_grpc.AssetServiceStub(client.channel())


@command("rm", assets)
@click.argument("names", nargs=-1)
@FILTER
@click.option("--permanent", is_flag=True, help="Delete for good, also from the trash. There is no way back.")
@DRY_RUN
def rm(connection: Connection, names: tuple[str, ...], filter_: str, permanent: bool, dry_run: bool) -> None:
    """Moves assets to the trash. They cannot be read then; `restore` brings them back.

    With --filter: all assets that it selects, at most 1,000.
    """
    if bool(names) == bool(filter_):
        raise click.UsageError("Give either assets or --filter.")

    async def work(client: AsyncClient) -> ExitCode:
        total = asset_pb2.BatchDeleteAssetsResponse()
        full = [name if "/" in name else f"assets/{name}" for name in names]
        for first in range(0, len(full) or 1, NAMES_AT_ONCE):
            request = asset_pb2.BatchDeleteAssetsRequest(
                names=full[first : first + NAMES_AT_ONCE], filter=filter_, permanent=permanent, dry_run=dry_run
            )
            answer = await client.call(_stub(client).BatchDeleteAssets, request)
            total.MergeFrom(asset_pb2.BatchDeleteAssetsResponse(left=answer.left))
            total.deleted += answer.deleted
            total.deleted_bytes += answer.deleted_bytes
        code = ExitCode.UNKNOWN if total.left else ExitCode.OK
        if connection.json:
            say(formatting.as_json(total))
            return code
        what = "deleted for good" if permanent else "moved to the trash"
        say(f"{total.deleted} {'would be ' if dry_run else ''}{what} ({total.deleted_bytes} bytes).")
        say(*(f"{name} was left: it does not exist, or cannot be deleted now." for name in total.left), err=True)
        return code

    connection.run(work)


@command("restore", assets)
@click.argument("name", callback=named("assets"), shell_complete=completed("assets"))
def restore(connection: Connection, name: str) -> None:
    """Brings an asset back from the trash."""

    async def work(client: AsyncClient) -> None:
        asset = await client.call(_stub(client).RestoreAsset, asset_pb2.RestoreAssetRequest(name=name))
        say(formatting.as_json(asset) if connection.json else f"{asset.name} is back.")

    connection.run(work)


@command("empty-trash", assets)
@DRY_RUN
def empty_trash(connection: Connection, dry_run: bool) -> None:
    """Deletes for good what is in your trash. You may interrupt it, and run it again."""

    async def work(client: AsyncClient) -> None:
        total = asset_pb2.EmptyTrashResponse(more=True)
        while total.more:
            answer = await client.call(_stub(client).EmptyTrash, asset_pb2.EmptyTrashRequest(dry_run=dry_run))
            total.deleted += answer.deleted
            total.deleted_bytes += answer.deleted_bytes
            total.in_use, total.more = answer.in_use, answer.more and not dry_run
        if connection.json:
            say(formatting.as_json(total))
            return
        say(f"{total.deleted} {'would be ' if dry_run else ''}deleted for good ({total.deleted_bytes} bytes).")
        if total.in_use:
            say(f"{total.in_use} wait for unfinished jobs that use them.")

    connection.run(work)
