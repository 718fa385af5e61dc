"""`i2v admin log`: what operators and tenants' admins did."""

import click
from i2v.admin.v1 import audit_pb2, audit_pb2_grpc

from i2v_client import AsyncClient
from services.client import formatting
from services.client.admin.group import admin
from services.client.commands import command
from services.client.connection import Connection
from services.client.listing import pages, show

HEAD = ("TIME", "ACTOR", "ACTION", "TARGET", "OUTCOME", "CHANGED", "REASON")


def _row(entry: audit_pb2.AuditEntry) -> tuple[str, ...]:
    changed = [
        f"{name}: {entry.before[name]} -> {value}" if name in entry.before else f"{name}: {value}"
        for name, value in sorted(entry.after.items())
    ]
    moment = formatting.moment(entry.time)
    return moment, entry.actor, entry.action, entry.target, entry.outcome, ", ".join(changed), entry.reason


@command("log", admin)
@click.option("--tenant", default="", help="Only about this tenant.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True)
def log(connection: Connection, tenant: str, limit: int) -> None:
    """Shows who did what, the newest first, also what was refused."""
    name = f"tenants/{tenant}" if tenant and "/" not in tenant else tenant
    request = audit_pb2.ListAuditEntriesRequest(tenant=name, page_size=min(limit, 200))

    async def work(client: AsyncClient) -> None:
        stub = audit_pb2_grpc.AuditServiceStub(client.channel())
        found = await pages(client, stub.ListAuditEntries, request, "entries", limit)
        show(connection, found, HEAD, _row, "The log has no entries.")

    connection.run(work)
