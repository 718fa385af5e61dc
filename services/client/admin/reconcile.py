"""`i2v admin reconcile`: jobs whose charge by the vendor is unknown."""

from collections.abc import Sequence
from typing import Any

import click
from i2v.admin.v1 import reconcile_pb2, reconcile_pb2_grpc
from i2v.v1 import job_pb2

from i2v_client import AsyncClient
from services.client import formatting, money_format
from services.client.admin.group import admin
from services.client.commands import command, named
from services.client.connection import Connection
from services.client.terminal import say

JOB = click.argument("job", callback=named("jobs"))


@admin.group()
def reconcile() -> None:
    """Settles jobs whose charge by the vendor is unknown. Look into the vendor's own list of tasks first."""


def _show(connection: Connection, found: Sequence[reconcile_pb2.PaidCall]) -> None:
    if connection.json:
        say(*map(formatting.as_json, found))
        return
    rows = [
        (
            each.job,
            each.job_state,
            each.provider,
            each.model,
            each.submission_id,
            formatting.moment(each.submit_time),
            money_format.text(job_pb2.Money(amount_micros=each.price_micros, currency_code=each.currency_code)),
            f"{each.tenant}/{each.user}",
            each.reason,
        )
        for each in found
    ]
    head = ("JOB", "STATE", "PROVIDER", "MODEL", "SUBMISSION", "SUBMITTED", "PRICE", "OWNER", "REASON")
    say(*(formatting.columns([head, *rows]) if rows else ["No paid call has an unknown outcome."]))
    say(*dict.fromkeys(f"{each.reason}: {each.message}" for each in found if each.reason))


def _call(connection: Connection, method: str, request: Any) -> None:
    async def work(client: AsyncClient) -> None:
        stub = reconcile_pb2_grpc.ReconcileServiceStub(client.channel())
        _show(connection, [await client.call(getattr(stub, method), request)])

    connection.run(work)


@command("list", reconcile)
def list_(connection: Connection) -> None:
    """Lists the jobs, the oldest first."""

    async def work(client: AsyncClient) -> None:
        stub: Any = reconcile_pb2_grpc.ReconcileServiceStub(client.channel())
        found, request = [], reconcile_pb2.ListPaidCallsRequest()
        while True:
            page = await client.call(stub.ListPaidCalls, request)
            found += page.paid_calls
            if not page.next_page_token:
                break
            request.page_token = page.next_page_token
        _show(connection, found)

    connection.run(work)


@command("show", reconcile)
@JOB
def show_(connection: Connection, job: str) -> None:
    """Shows one."""
    _call(connection, "GetPaidCall", reconcile_pb2.GetPaidCallRequest(job=job))


@command("attach", reconcile)
@JOB
@click.argument("reference")
def attach(connection: Connection, job: str, reference: str) -> None:
    """The vendor has the task, by this name of its own: fetch its video."""
    _call(connection, "AttachPaidCall", reconcile_pb2.AttachPaidCallRequest(job=job, external_ref=reference))


@command("release", reconcile)
@JOB
def release(connection: Connection, job: str) -> None:
    """The vendor certainly charged nothing: end the job for nothing."""
    _call(connection, "ReleasePaidCall", reconcile_pb2.ReleasePaidCallRequest(job=job))


@command("charge", reconcile)
@JOB
def charge(connection: Connection, job: str) -> None:
    """The vendor charged the task and has no video: end the job at its price."""
    _call(connection, "ChargePaidCall", reconcile_pb2.ChargePaidCallRequest(job=job))


@command("refund", reconcile)
@JOB
def refund(connection: Connection, job: str) -> None:
    """A job that failed was charged, and the vendor charged nothing after all: give its price back."""
    _call(connection, "RefundPaidCall", reconcile_pb2.RefundPaidCallRequest(job=job))
