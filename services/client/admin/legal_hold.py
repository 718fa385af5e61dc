"""`i2v admin legal-hold`: the tenants of which nothing is removed."""

from typing import Any

import click
from i2v.admin.v1 import retention_pb2, retention_pb2_grpc

from i2v_client import AsyncClient
from services.client import formatting
from services.client.admin.group import admin
from services.client.commands import command, named
from services.client.connection import Connection
from services.client.terminal import say

TENANT = click.argument("tenant", callback=named("tenants"))
REASON = click.option("--reason", required=True, help="Why, for the log.")


@admin.group("legal-hold")
def legal_hold() -> None:
    """Keeps everything of a tenant, however old it is."""


def _stub(client: AsyncClient) -> Any:
    return retention_pb2_grpc.RetentionServiceStub(client.channel())


@command("set", legal_hold)
@TENANT
@REASON
def set_(connection: Connection, tenant: str, reason: str) -> None:
    """Removes nothing of the tenant from now on."""

    async def work(client: AsyncClient) -> None:
        request = retention_pb2.SetLegalHoldRequest(tenant=tenant, reason=reason)
        held = await client.call(_stub(client).SetLegalHold, request)
        say(formatting.as_json(held) if connection.json else f"{held.tenant} is under a legal hold: {held.reason}")

    connection.run(work)


@command("clear", legal_hold)
@TENANT
@REASON
def clear(connection: Connection, tenant: str, reason: str) -> None:
    """Ends a legal hold. What is due is removed again."""

    async def work(client: AsyncClient) -> None:
        request = retention_pb2.ClearLegalHoldRequest(tenant=tenant, reason=reason)
        answer = await client.call(_stub(client).ClearLegalHold, request)
        say(formatting.as_json(answer) if connection.json else f"{tenant} is under no legal hold.")

    connection.run(work)
