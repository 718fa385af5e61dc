"""`i2v admin usage`: what the jobs of all tenants have cost and brought."""

from collections.abc import Sequence
from typing import Any

import click
from i2v.admin.v1 import cost_pb2, cost_pb2_grpc

from i2v_client import AsyncClient
from i2v_client.output_file import OutputFile
from services.client import formatting, money_format, spreadsheet_csv
from services.client.admin.group import admin
from services.client.commands import command
from services.client.connection import Connection
from services.client.terminal import say

DAY = click.DateTime(["%Y-%m-%d"])
HEAD = ("DAY", "TENANT", "MODEL", "OPERATION", "ADMITTED", "JOBS", "VIDEO", "CHARGED", "VENDORS", "MARGIN", "SLOTS")
COLUMNS = (
    *("day", "tenant", "model", "operation", "admitted_jobs", "jobs", "video_seconds"),
    *("charged", "vendor_cost", "margin", "currency", "slot_seconds"),
)


@admin.group()
def usage() -> None:
    """Shows what the jobs of all tenants have cost and brought."""


@command("daily", usage)
@click.option("--since", type=DAY, help="The first day, in UTC. Default: the first of the last day's month.")
@click.option("--until", type=DAY, help="The last day, included. Default: today.")
@click.option("--tenant", default="", help="Only of this tenant.")
@click.option("--model", default="", help="Only of this model.")
@click.option("--operation", default="", help="Only of this operation, such as image-to-video.")
@click.option("--csv", "csv_file", help="Writes CSV: a file, a device, a pipe, or - for stdout.")
def daily(
    connection: Connection,
    since: object,
    until: object,
    tenant: str,
    model: str,
    operation: str,
    csv_file: str | None,
) -> None:
    """Sums by day, tenant, model and operation: jobs, video, charges, what vendors are paid, margin, time of slots.

    A job counts on the day of its admission, in UTC. The sums are those of the ledger at this moment.
    """
    out = output(connection, csv_file)
    request = cost_pb2.ListDailyRollupsRequest(
        since_day=f"{since:%Y-%m-%d}" if since else "",
        until_day=f"{until:%Y-%m-%d}" if until else "",
        tenant=f"tenants/{tenant}" if tenant and "/" not in tenant else tenant,
        model=model,
        operation=operation,
        page_size=200,
    )

    async def work(client: AsyncClient) -> None:
        stub: Any = cost_pb2_grpc.CostServiceStub(client.channel())
        found: list[cost_pb2.DailyRollup] = []
        while True:
            page = await client.call(stub.ListDailyRollups, request)
            found += page.rollups
            if not page.next_page_token:
                break
            request.page_token = page.next_page_token
        if out is not None:
            async with out.writing() as write:
                await write(spreadsheet_csv.lines([COLUMNS, *map(cells, found)]))
        elif connection.json:
            say(*map(formatting.as_json, found))
        else:
            total = row(cost_pb2.DailyRollup(day="all", sums=page.total))
            say(*(formatting.columns([HEAD, *map(row, found), total]) if found else ["There were no jobs."]))

    connection.run(work)


def output(connection: Connection, typed: str | None) -> OutputFile | None:
    """Returns where CSV goes. Refuses a place that cannot be written."""
    if typed is None:
        return None
    if connection.json:
        raise click.UsageError("--csv and --json are two forms of the same; give one of them.")
    out = OutputFile.named(typed)
    try:
        out.check()
    except OSError as error:
        raise click.BadParameter(f"{typed!r} cannot be written: {error.strerror}", param_hint="--csv") from error
    return out


def row(of: cost_pb2.DailyRollup) -> Sequence[str]:
    """Returns the cells of a rollup for people."""
    sums = of.sums
    return (
        *(of.day, of.tenant.removeprefix("tenants/"), of.model, of.operation, str(sums.admitted_jobs), str(sums.jobs)),
        formatting.seconds(sums.video),
        *map(money_format.text, (sums.charged, sums.vendor_cost, sums.margin)),
        formatting.seconds(sums.slot_time),
    )


def cells(of: cost_pb2.DailyRollup) -> Sequence[str]:
    """Returns the cells of a rollup for a spreadsheet."""
    sums = of.sums
    names = map(spreadsheet_csv.text, (of.tenant.removeprefix("tenants/"), of.model, of.operation))
    return (
        *(of.day, *names, str(sums.admitted_jobs), str(sums.jobs), f"{sums.video.ToMilliseconds() / 1000:.3f}"),
        *map(money_format.decimal, (sums.charged, sums.vendor_cost, sums.margin)),
        *(sums.charged.currency_code, f"{sums.slot_time.ToMilliseconds() / 1000:.3f}"),
    )
