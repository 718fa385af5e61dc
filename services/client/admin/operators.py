"""`i2v admin operators`: the people who run the service. A key's text is printed once."""

from datetime import timedelta
from typing import Any

import click
from i2v.admin.v1 import operator_pb2, operator_pb2_grpc

from i2v_client import AsyncClient
from services.client import formatting
from services.client.admin.group import REASON, admin, since_now
from services.client.admin.keys import ONCE
from services.client.commands import command, named
from services.client.connection import Connection
from services.client.listing import show
from services.client.period import PERIOD
from services.client.terminal import say

ROLES = {name.lower(): number for name, number in operator_pb2.Operator.Role.items() if number}
HEAD = ("OPERATOR", "NAME", "ROLE", "CREATED", "EXPIRES", "REVOKED", "LAST USED")


@admin.group()
def operators() -> None:
    """Makes and revokes operators, each with a key and a role."""


def _row(operator: operator_pb2.Operator) -> tuple[str, ...]:
    times = (operator.create_time, operator.expire_time, operator.revoke_time, operator.last_use_time)
    role = operator_pb2.Operator.Role.Name(operator.role).lower()
    return operator.name, operator.display_name, role, *map(formatting.moment, times)


@command("create", operators)
@click.argument("name")
@click.option("--role", required=True, type=click.Choice(list(ROLES)))
@click.option("--expires-in", type=PERIOD, help="Such as 90d. Default: never.")
@REASON
def create(connection: Connection, name: str, role: str, expires_in: timedelta | None, reason: str) -> None:
    """Makes an operator with the name of a person. Stdout gets the key alone, for example for a file."""
    request = operator_pb2.CreateOperatorRequest(
        display_name=name, role=ROLES[role], expire_time=since_now(expires_in), reason=reason
    )

    async def work(client: AsyncClient) -> None:
        stub: Any = operator_pb2_grpc.OperatorServiceStub(client.channel())
        made = await client.call(stub.CreateOperator, request)
        if connection.json:
            say(formatting.as_json(made))
            return
        show(connection, [made.operator], HEAD, _row, "", err=True)
        say("", ONCE, err=True)
        say(made.key_text)

    connection.run(work)


@command("list", operators)
def list_(connection: Connection) -> None:
    """Lists the operators, revoked ones too."""

    async def work(client: AsyncClient) -> None:
        stub: Any = operator_pb2_grpc.OperatorServiceStub(client.channel())
        found = await client.call(stub.ListOperators, operator_pb2.ListOperatorsRequest())
        show(connection, found.operators, HEAD, _row, "There is only the operator of the settings.")

    connection.run(work)


@command("revoke", operators)
@click.argument("operator", callback=named("operators"))
@REASON
def revoke(connection: Connection, operator: str, reason: str) -> None:
    """Ends an operator's key, everywhere within 5 seconds."""

    async def work(client: AsyncClient) -> None:
        stub: Any = operator_pb2_grpc.OperatorServiceStub(client.channel())
        request = operator_pb2.RevokeOperatorRequest(name=operator, reason=reason)
        show(connection, [await client.call(stub.RevokeOperator, request)], HEAD, _row, "")

    connection.run(work)
