"""`i2v assets stats`: what is in the library, by type, source module and month."""

from collections.abc import Iterator
from typing import Any

from i2v.v1 import asset_pb2, asset_pb2_grpc

from i2v_client import AsyncClient
from services.client import formatting, money_format
from services.client.assets.group import assets
from services.client.assets.lists import FILTER
from services.client.commands import command
from services.client.connection import Connection
from services.client.terminal import say

HEAD = ("BY", "NAME", "ASSETS", "BYTES", "COST")


@command("stats", assets)
@FILTER
def stats(connection: Connection, filter_: str) -> None:
    """Counts assets, bytes and cost by type, source module and month. What is in the trash is not counted."""

    async def work(client: AsyncClient) -> None:
        stub: Any = asset_pb2_grpc.AssetServiceStub(client.channel())
        answer = await client.call(stub.GetLibraryStatistics, asset_pb2.GetLibraryStatisticsRequest(filter=filter_))
        lines = [formatting.as_json(answer)] if connection.json else formatting.columns([HEAD, *_rows(answer)])
        say(*lines)

    connection.run(work)


def _rows(answer: asset_pb2.LibraryStatistics) -> Iterator[tuple[str, ...]]:
    for by, groups in (
        ("all", [answer.total]),
        ("type", answer.types),
        ("source module", answer.source_modules),
        ("month", answer.months),
    ):
        for group in groups:
            name = group.name or ("(none)" if by == "source module" else "")
            yield by, name, str(group.assets), str(group.size_bytes), money_format.text(group.cost)
