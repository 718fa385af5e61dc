"""`i2v admin plans`: the plans that hold, and the check of a file of them."""

from pathlib import Path
from typing import Any

import click
from i2v.admin.v1 import plan_pb2, plan_pb2_grpc

from i2v_client import AsyncClient
from services.client import formatting, plan_table
from services.client.admin.group import admin
from services.client.commands import command
from services.client.connection import Connection
from services.client.exit_codes import ExitCode
from services.client.spec_options import FILE
from services.client.terminal import say


@admin.group()
def plans() -> None:
    """Shows the plans, and checks a new file of them."""


@command("list", plans)
def list_plans(connection: Connection) -> None:
    """Lists the plans that hold now."""

    async def work(client: AsyncClient) -> None:
        stub: Any = plan_pb2_grpc.PlanServiceStub(client.channel())
        found = await client.call(stub.ListPlans, plan_pb2.ListPlansRequest())
        say(*(map(formatting.as_json, found.plans) if connection.json else plan_table.plans(found.plans)))

    connection.run(work)


@command("check", plans)
@click.argument("file", type=FILE)
def check_plans(connection: Connection, file: Path) -> None:
    """Checks a file of plans as a reload would, and installs nothing.

    Prints each problem with its line, and ends with exit code 3 if the file cannot be used.
    """
    try:
        content = file.read_bytes()
    except OSError as error:
        raise click.BadParameter(f"{str(file)!r} cannot be read: {error.strerror}", param_hint="FILE") from error

    async def work(client: AsyncClient) -> ExitCode:
        stub: Any = plan_pb2_grpc.PlanServiceStub(client.channel())
        found = await client.call(stub.CheckPlans, plan_pb2.CheckPlansRequest(content=content))
        if connection.json:
            say(formatting.as_json(found))
        else:
            say(*(f"{file}:{each.line}: {each.message}" for each in found.problems), err=True)
            say(*(f"{file}:{each.line}: warning: {each.message}" for each in found.warnings), err=True)
            if not found.problems:
                say(*plan_table.plans(found.plans))
        return ExitCode.REFUSED if found.problems else ExitCode.OK

    connection.run(work)
