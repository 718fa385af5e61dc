"""`i2v admin retention`: what is removed when it is old."""

from typing import Any

import click
from i2v.admin.v1 import retention_pb2, retention_pb2_grpc

from i2v_client import AsyncClient
from services.client import formatting
from services.client.admin.group import admin
from services.client.commands import command
from services.client.connection import Connection
from services.client.terminal import say

KINDS = {name.lower().replace("_", "-"): number for name, number in retention_pb2.RetentionState.Kind.items() if number}
NAMES = {number: name for name, number in KINDS.items()}


@admin.group()
def retention() -> None:
    """Removes what is older than the settings say. Workers do so by themselves, every hour."""


def _stub(client: AsyncClient) -> Any:
    return retention_pb2_grpc.RetentionServiceStub(client.channel())


def _kept_for(state: retention_pb2.RetentionState) -> str:
    if state.kind == retention_pb2.RetentionState.LIBRARY:
        return "as the plan says"
    return f"{state.days} days" if state.days else "no limit of time"


@command("show", retention)
def show(connection: Connection) -> None:
    """Shows what is due to be removed, and all legal holds. Removes nothing."""

    async def work(client: AsyncClient) -> None:
        found = await client.call(_stub(client).GetRetention, retention_pb2.GetRetentionRequest())
        if connection.json:
            say(formatting.as_json(found))
            return
        rows = [
            (
                NAMES.get(state.kind, str(state.kind)),
                _kept_for(state),
                str(state.due),
                formatting.moment(state.oldest_time),
            )
            for state in found.states
        ]
        say(*formatting.columns([("KIND", "KEPT FOR", "DUE", "OLDEST"), *rows]))
        say(*(f"{hold.tenant} is under a legal hold: {hold.reason}" for hold in found.legal_holds))

    connection.run(work)


@command("run", retention)
@click.option("--kind", required=True, type=click.Choice(list(KINDS)), help="What to remove.")
def run(connection: Connection, kind: str) -> None:
    """Removes everything of one kind that is due. You may interrupt it, and run it again."""

    async def work(client: AsyncClient) -> None:
        request = retention_pb2.RunRetentionRequest(kind=KINDS[kind])
        total = retention_pb2.RunRetentionResponse(more=True)
        while total.more:
            done = await client.call(_stub(client).RunRetention, request)
            total.removed += done.removed
            total.more = done.more and done.removed > 0
        say(formatting.as_json(total) if connection.json else f"{kind}: {total.removed} removed.")

    connection.run(work)
