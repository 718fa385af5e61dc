"""`i2v admin export`: all that a tenant has, or one of its users, as files."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import click
from i2v.admin.v1 import key_pb2, key_pb2_grpc, tenant_pb2, tenant_pb2_grpc

from i2v_client import AsyncClient
from services.client.admin.group import REASON, admin, since_now
from services.client.assets.transfers import EVENTS, FOLDER, print_exported
from services.client.commands import command, named
from services.client.connection import Connection
from services.client.exit_codes import ExitCode
from services.client.spec_options import utf8
from services.client.transfer.description import Subject
from services.client.transfer.export import OneUser, export
from services.client.transfer.export_folder import ExportFolder
from services.client.transfer.long_reads import RETRY_FOR_S
from services.client.transfer.transfer_bar import TransferBar

KEY_LASTS = timedelta(hours=24)
KEY_NAME = "export by operators"


@command("export", admin)
@click.option("--tenant", required=True, callback=named("tenants"), help="Whose data.")
@click.option("--of-user", default="", callback=utf8, help="Only of this user of the tenant.")
@FOLDER
@EVENTS
@REASON
def export_(connection: Connection, tenant: str, of_user: str, folder: Path, events: bool, reason: str) -> None:
    """Writes all that a tenant has into a folder, in the format of `i2v assets export`. Run it again to continue.

    It makes a key of the tenant that may only read, for at most a day, and revokes it at the end. Both are in the audit
    log. Needs the role operator.
    """
    subject = Subject(tenant.removeprefix("tenants/"), of_user)

    async def work(client: AsyncClient) -> ExitCode:
        keys: Any = key_pb2_grpc.KeyServiceStub(client.channel())
        request = key_pb2.CreateKeyRequest(
            tenant=tenant,
            display_name=KEY_NAME,
            scopes=[key_pb2.Key.READ, key_pb2.Key.USAGE],
            expire_time=since_now(KEY_LASTS),
            reason=reason,
        )
        made = await client.call(keys.CreateKey, request)

        def client_of(user: str) -> AsyncClient:
            return connection.client(user=user, key=made.key_text, retry_for_s=RETRY_FOR_S)

        try:
            users = _users(client, tenant, of_user)
            each = (OneUser(user, client_of(user)) async for user in users)
            done = await export(ExportFolder(folder, subject), each, TransferBar("export"), with_events=events)
        finally:
            await client.call(keys.RevokeKey, key_pb2.RevokeKeyRequest(name=made.key.name, reason=reason))
        return print_exported(connection, folder, done)

    connection.run(work)


async def _users(client: AsyncClient, tenant: str, of_user: str) -> AsyncIterator[str]:
    if of_user:
        yield of_user
        return
    tenants: Any = tenant_pb2_grpc.TenantServiceStub(client.channel())
    request = tenant_pb2.ListTenantUsersRequest(tenant=tenant, page_size=200)
    async for user in client.each(tenants.ListTenantUsers, request, "users"):
        yield user
