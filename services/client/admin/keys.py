"""`i2v admin keys`: the API keys of a tenant. A key's text is printed once."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import click
from google.protobuf.duration_pb2 import Duration
from i2v.admin.v1 import key_pb2, key_pb2_grpc

from i2v_client import AsyncClient
from services.client import formatting
from services.client.admin.group import admin, since_now
from services.client.commands import command
from services.client.connection import Connection
from services.client.listing import pages, show
from services.client.period import PERIOD
from services.client.terminal import say

SCOPES = {name.lower().replace("_", "-"): number for name, number in key_pb2.Key.Scope.items() if number}
HEAD = ("KEY", "NAME", "SCOPES", "CREATED", "EXPIRES", "REVOKED", "LAST USED")
ONCE = "Keep this key; it cannot be shown again:"
OF = click.option("--tenant", default="", help="Whose. A tenant's admin leaves it out.")
WHY = click.option("--reason", default="", help="Why; operators give one.")
KEY = click.argument("key")


@admin.group()
def keys() -> None:
    """Makes and revokes API keys of tenants."""


def _row(key: key_pb2.Key) -> tuple[str, ...]:
    names = [name for name, number in SCOPES.items() if number in key.scopes]
    times = (key.create_time, key.expire_time, key.revoke_time, key.last_use_time)
    return key.name, key.display_name, " ".join(names), *map(formatting.moment, times)


def _tenant(text: str) -> str:
    return f"tenants/{text}" if text and "/" not in text else text


def _show_key(connection: Connection, made: Any, *others: key_pb2.Key) -> None:
    if connection.json:
        say(formatting.as_json(made))
        return
    show(connection, [made.key, *others], HEAD, _row, "", err=True)
    say("", ONCE, err=True)
    say(made.key_text)


@command("create", keys)
@click.argument("name")
@OF
@click.option(
    "--scope", "scopes", multiple=True, type=click.Choice(list(SCOPES)), help="Default: all but tenant-admin."
)
@click.option("--expires-in", type=PERIOD, help="Such as 90d. Default: never.")
@WHY
def create(
    connection: Connection, name: str, tenant: str, scopes: Sequence[str], expires_in: timedelta | None, reason: str
) -> None:
    """Makes a key with a name for people. Stdout gets the key alone, for example for a file."""
    request = key_pb2.CreateKeyRequest(
        tenant=_tenant(tenant),
        display_name=name,
        scopes=[SCOPES[each] for each in scopes],
        expire_time=since_now(expires_in),
        reason=reason,
    )

    async def work(client: AsyncClient) -> None:
        stub: Any = key_pb2_grpc.KeyServiceStub(client.channel())
        _show_key(connection, await client.call(stub.CreateKey, request))

    connection.run(work)


@command("list", keys)
@OF
def list_(connection: Connection, tenant: str) -> None:
    """Lists the keys, ended ones too."""

    async def work(client: AsyncClient) -> None:
        stub = key_pb2_grpc.KeyServiceStub(client.channel())
        request = key_pb2.ListKeysRequest(tenant=_tenant(tenant), page_size=200)
        show(connection, await pages(client, stub.ListKeys, request, "keys"), HEAD, _row, "There are no keys.")

    connection.run(work)


@command("rotate", keys)
@KEY
@click.option("--overlap", type=PERIOD, default="24h", show_default=True, help="How long the old key still works.")
@WHY
def rotate(connection: Connection, key: str, overlap: timedelta, reason: str) -> None:
    """Makes a key like another one, which ends after the overlap. Stdout gets the new key alone."""
    request = key_pb2.RotateKeyRequest(name=key, overlap=Duration(seconds=int(overlap.total_seconds())), reason=reason)

    async def work(client: AsyncClient) -> None:
        stub: Any = key_pb2_grpc.KeyServiceStub(client.channel())
        made = await client.call(stub.RotateKey, request)
        _show_key(connection, made, made.replaced)

    connection.run(work)


@command("revoke", keys)
@KEY
@WHY
def revoke(connection: Connection, key: str, reason: str) -> None:
    """Ends a key, everywhere within 5 seconds."""

    async def work(client: AsyncClient) -> None:
        stub: Any = key_pb2_grpc.KeyServiceStub(client.channel())
        ended = await client.call(stub.RevokeKey, key_pb2.RevokeKeyRequest(name=key, reason=reason))
        show(connection, [ended], HEAD, _row, "")

    connection.run(work)
