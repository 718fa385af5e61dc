"""`i2v usage`, `i2v ledger` and `i2v statement`."""

from contextlib import aclosing

import click
from i2v.v1 import usage_pb2

from i2v_client import AsyncClient
from i2v_client.output_file import OutputFile, Write
from services.client import formatting, statement_csv, usage_format, watch_usage
from services.client.commands import command, named
from services.client.connection import Connection
from services.client.exit_codes import ExitCode
from services.client.spec_options import utf8
from services.client.statement import Statement
from services.client.terminal import say

Field, Kind = usage_pb2.QueryUsageRequest.Field, usage_pb2.LedgerEntry.Kind
FIELDS = [name.lower() for name, number in Field.items() if number]
KINDS = [name.lower() for name, number in Kind.items() if number]
DAY = click.DateTime(["%Y-%m-%d"])
WHOLE_TENANT = click.option("--tenant", "whole_tenant", is_flag=True, help="Of all users of the tenant.")


@command("usage")
@click.option("--by", multiple=True, type=click.Choice(FIELDS), help="Sums by this instead; at most two of them.")
@click.option("--since", type=DAY, help="With --by: the first day. Default: the first of the last day's month.")
@click.option("--until", type=DAY, help="With --by: the last day, included. Default: today.")
@WHOLE_TENANT
@click.option("--watch", "watching", is_flag=True, help="Show every limit, then each change and warning, until Ctrl-C.")
def usage(
    connection: Connection, by: tuple[str, ...], since: object, until: object, whole_tenant: bool, watching: bool
) -> None:
    """Shows what every limit has left, what was spent, and the newest bookings; or sums by day, model, user and others.

    A job counts on the day of its admission. Days are those of the tenant's time zone.
    """
    if not by and (since or until or whole_tenant):
        raise click.UsageError("--since, --until and --tenant need --by.")
    if by and watching:
        raise click.UsageError("--watch shows limits, not sums: give it without --by.")
    if len(by) > 2 or len(set(by)) < len(by):
        raise click.BadParameter("at most two different ones", param_hint="--by")

    async def show_limits(client: AsyncClient) -> None:
        if watching:
            await watch_usage.show(client, json=connection.json)
        found = await client.usage()
        say(*([formatting.as_json(found)] if connection.json else usage_format.usage(found)))

    async def show_sums(client: AsyncClient) -> None:
        request = usage_pb2.QueryUsageRequest(
            group_by=[Field.Value(each.upper()) for each in by],
            since_day=f"{since:%Y-%m-%d}" if since else "",
            until_day=f"{until:%Y-%m-%d}" if until else "",
            whole_tenant=whole_tenant,
        )
        found = await client.ledger.query(request)
        say(*([formatting.as_json(found)] if connection.json else usage_format.groups(by, found)))

    connection.run(show_sums if by else show_limits)


@command("ledger")
@click.option("--kind", type=click.Choice(KINDS), help="Only bookings of this kind.")
@click.option("--job", callback=lambda *given: named("jobs")(*given) if given[2] else "", help="Only of this job.")
@click.option("--of", "user", default="", callback=utf8, help="Only of this user; implies --tenant.")
@WHOLE_TENANT
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True)
def ledger(connection: Connection, kind: str | None, job: str, user: str, whole_tenant: bool, limit: int) -> None:
    """Lists bookings, the newest first."""

    async def work(client: AsyncClient) -> None:
        request = usage_pb2.ListLedgerEntriesRequest(
            page_size=min(limit, 200),
            kind=Kind.Value(kind.upper()) if kind else Kind.KIND_UNSPECIFIED,
            job=job,
            user=user,
            whole_tenant=whole_tenant or bool(user),
        )
        found: list[usage_pb2.LedgerEntry] = []
        async with aclosing(client.ledger.entries(request)) as entries:
            async for entry in entries:
                found.append(entry)
                if len(found) == limit:
                    break
        say(*(map(formatting.as_json, found) if connection.json else usage_format.entries(found)))

    connection.run(work)


@command("statement")
@click.argument("month")
@click.option("--csv", "csv_file", help="Writes the bookings as CSV: a file, a device, a pipe, or - for stdout.")
@WHOLE_TENANT
def statement(connection: Connection, month: str, csv_file: str | None, whole_tenant: bool) -> None:
    """Shows the sums of a month such as 2026-11, or writes its bookings as CSV.

    It ends with code 1 if the sums of the bookings are not what the counter of spending has.
    """
    out = OutputFile.named(csv_file) if csv_file else None
    if out is not None and connection.json:
        raise click.UsageError("--csv and --json are two forms of the same; give one of them.")
    if out is not None:
        try:
            out.check()
        except OSError as error:
            raise click.BadParameter(f"{csv_file!r} cannot be written: {error.strerror}", param_hint="--csv") from error

    async def work(client: AsyncClient) -> ExitCode:
        request = usage_pb2.StreamStatementRequest(month=month, whole_tenant=whole_tenant)
        read = Statement(client, request)
        if out is None:
            await _read(read, json=connection.json)
        else:
            async with out.writing() as write:
                await _write_csv(read, write)
        if not connection.json:
            say(*usage_format.statement(read.header, read.trailer), err=out is not None)
        if read.balanced:
            return ExitCode.OK
        say("The sums are not what the counter of spending has. Tell the operators.", err=True)
        return ExitCode.SERVICE

    connection.run(work)


async def _read(read: Statement, *, json: bool) -> None:
    async with aclosing(read.parts()) as parts:
        async for part in parts:
            if json:
                say(formatting.as_json(part))


async def _write_csv(read: Statement, write: Write) -> None:
    await write(statement_csv.head())
    async with aclosing(read.parts()) as parts:
        async for part in parts:
            await write(statement_csv.lines(part.entries.entries))
