"""`i2v admin ledger`: old parts of a ledger made smaller."""

import click
from i2v.admin.v1 import retention_pb2, retention_pb2_grpc

from i2v_client import AsyncClient
from services.client import formatting
from services.client.admin.group import admin
from services.client.commands import command, named
from services.client.connection import Connection
from services.client.terminal import say


@admin.group()
def ledger() -> None:
    """Makes old parts of the ledger smaller."""


@command("fold", ledger)
@click.option("--tenant", required=True, callback=named("tenants"), help="Whose ledger.")
@click.option("--before", required=True, metavar="MONTH", help="The first month that stays as it is, such as 2025-01.")
@click.option("--yes", is_flag=True, help="Fold. Without it the command only says what it would do.")
def fold(connection: Connection, tenant: str, before: str, yes: bool) -> None:
    """Replaces the bookings of old months by one balance a month for each user, key, model and operation.

    All sums stay the same. The single bookings are lost.
    """

    async def work(client: AsyncClient) -> None:
        stub = retention_pb2_grpc.RetentionServiceStub(client.channel())
        request = retention_pb2.FoldLedgerRequest(tenant=tenant, before=before, dry_run=not yes)
        done = await client.call(stub.FoldLedger, request)
        if connection.json:
            say(formatting.as_json(done))
            return
        if not done.months:
            say(f"{tenant} has nothing to fold before {before}.")
            return
        what = "were replaced" if yes else "would be replaced"
        say(f"{done.months[0]} to {done.months[-1]}: {done.entries} bookings {what} by {done.balances} balances.")
        if not yes:
            say("Nothing was changed. Add --yes to fold.")

    connection.run(work)
