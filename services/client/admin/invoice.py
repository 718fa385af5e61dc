"""`i2v admin invoice`: vendors' invoices, compared with our own records."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import click
from google.protobuf.timestamp_pb2 import Timestamp
from i2v.admin.v1 import cost_pb2, cost_pb2_grpc

from i2v_client import AsyncClient
from services.client.admin.group import admin
from services.client.admin.usage import output
from services.client.commands import command
from services.client.connection import Connection
from services.client.exit_codes import ExitCode
from services.client.invoices import report
from services.client.invoices.comparison import Comparison, compare
from services.client.invoices.invoice_format import FormatError, InvoiceFormat, read_format
from services.client.invoices.invoice_reader import InvoiceError, read_invoice
from services.client.spec_options import FILE
from services.client.terminal import say

AROUND = timedelta(days=7)
"""Before and after the period, in which a vendor may have booked a task of ours on another day."""
DAY = click.DateTime(["%Y-%m-%d"])


class InvoiceRefused(click.ClickException):
    """The invoice, or its format, cannot be read."""

    exit_code = ExitCode.REFUSED


@admin.group()
def invoice() -> None:
    """Compares vendors' invoices with what we expect."""


@command("compare", invoice)
@click.argument("file", type=FILE)
@click.option("--provider", required=True, help="Whose invoice it is, such as wavespeed.")
@click.option("--since", required=True, type=DAY, help="The first day of the invoice, in UTC.")
@click.option("--until", required=True, type=DAY, help="Its last day, included.")
@click.option(
    "--formats", type=FILE, help="TOML with a table for each provider: its columns, and how it writes numbers."
)
@click.option("--tolerance", default="0", show_default=True, help="Differences of a task up to this amount are none.")
@click.option("--csv", "csv_file", help="Writes all differences as CSV: a file, a device, a pipe, or - for stdout.")
def compare_(
    connection: Connection,
    file: Path,
    provider: str,
    since: datetime,
    until: datetime,
    formats: Path | None,
    tolerance: str,
    csv_file: str | None,
) -> None:
    """Says what is on a vendor's invoice and not in our records, and the other way round.

    The invoice is a CSV with a line for each task. The exit code is 7 if anything differs.
    """
    out = output(connection, csv_file)
    try:
        form, allowed = read_format(formats, provider), _tolerance(tolerance)
    except FormatError as error:
        raise InvoiceRefused(f"{error}.") from error
    start, end = since.replace(tzinfo=UTC), until.replace(tzinfo=UTC) + timedelta(days=1)
    if end <= start:
        raise click.BadParameter("is before --since", param_hint="--until")

    async def work(client: AsyncClient) -> ExitCode:
        found = await _compared(client, file, form, provider, start, end, allowed)
        if out is not None:
            async with out.writing() as write:
                for part in report.as_csv(found):
                    await write(part)
        if connection.json:
            say(*report.as_json(found, form.currency_code))
        else:
            say(*report.text(found, form.currency_code), err=out is not None)
        return ExitCode.DIFFERENT if found.differs else ExitCode.OK

    connection.run(work)


async def _compared(
    client: AsyncClient,
    file: Path,
    form: InvoiceFormat,
    provider: str,
    start: datetime,
    end: datetime,
    allowed: Decimal,
) -> Comparison:
    request = cost_pb2.StreamVendorCallsRequest(
        provider=provider, since=_stamp(start - AROUND), until=_stamp(end + AROUND)
    )
    try:
        with file.open("rb") as opened:
            async with aclosing(_calls(client, request)) as calls:
                lines = read_invoice(opened, form)
                return await compare(
                    lines,
                    calls,
                    since=start.timestamp(),
                    until=end.timestamp(),
                    currency=form.currency_code,
                    tolerance=allowed,
                )
    except InvoiceError as error:
        raise InvoiceRefused(f"{file}, {error}.") from error


async def _calls(
    client: AsyncClient, request: cost_pb2.StreamVendorCallsRequest
) -> AsyncGenerator[cost_pb2.VendorCall, None]:
    stub: Any = cost_pb2_grpc.CostServiceStub(client.channel())
    async with aclosing(client.stream(stub.StreamVendorCalls, request)) as parts:
        async for part in parts:
            for call in part.calls:
                yield call


def _stamp(time: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(time)
    return stamp


def _tolerance(text: str) -> Decimal:
    try:
        found = Decimal(text)
    except ArithmeticError:
        found = Decimal(-1)
    if not found.is_finite() or found < 0:
        raise click.BadParameter("an amount such as 0.01", param_hint="--tolerance")
    return found
