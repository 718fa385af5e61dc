"""`i2v assets url`: an address under which anyone reads an asset for a while."""

from datetime import timedelta
from typing import Any

import click
from i2v.v1 import asset_pb2, asset_pb2_grpc

from i2v_client import AsyncClient
from services.client import formatting
from services.client.assets.group import assets
from services.client.commands import command, named
from services.client.completion.names import completed
from services.client.connection import Connection
from services.client.period import PERIOD
from services.client.spec_options import utf8
from services.client.terminal import say


@command("url", assets)
@click.argument("name", metavar="ASSET", callback=named("assets"), shell_complete=completed("assets"))
@click.option("--expires", type=PERIOD, help="Such as 90s or 10m. Default: 15m.")
@click.option("--name", "saved_as", default="", callback=utf8, help="A browser saves the file under this name.")
@click.option("--variant", default="", callback=utf8, help="A variant, such as thumbnail-256 or poster.")
def url(connection: Connection, name: str, expires: timedelta | None, saved_as: str, variant: str) -> None:
    """Prints a URL under which anyone reads an asset until it expires: keep it secret."""

    async def work(client: AsyncClient) -> None:
        request = asset_pb2.SignUrlRequest(name=name, download_name=saved_as, variant=variant)
        if expires is not None:
            request.expire_in.FromTimedelta(expires)
        stub: Any = asset_pb2_grpc.AssetServiceStub(client.channel())
        signed = await client.call(stub.SignUrl, request)
        say(formatting.as_json(signed) if connection.json else signed.url)

    connection.run(work)
