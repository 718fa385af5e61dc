"""`i2v admin jobs`: the jobs of all tenants."""

from datetime import UTC, datetime
from typing import Any

import click
from google.protobuf.timestamp_pb2 import Timestamp
from i2v.admin.v1 import job_pb2, job_pb2_grpc
from i2v.v1 import job_pb2 as jobs_pb2

from i2v_client import AsyncClient
from services.client import formatting
from services.client.admin.group import REASON, admin
from services.client.admin.job_details import HEAD, lines, row
from services.client.commands import STATES, command, named
from services.client.connection import Connection
from services.client.listing import pages, show
from services.client.terminal import say

JOB = click.argument("job", callback=named("jobs"))


class Moment(click.ParamType[Timestamp]):
    """A time in UTC: a date, or a date and a time."""

    name = "moment"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Timestamp:
        """Returns the time."""
        try:
            moment = datetime.fromisoformat(str(value))
            stamp = Timestamp()
            stamp.FromDatetime((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC))
        except (ValueError, OverflowError):
            self.fail("a time such as 2026-11-30 or 2026-11-30T12:00:00Z", param, ctx)
        return stamp


MOMENT = Moment()


@admin.group()
def jobs() -> None:
    """Lists, shows and cancels the jobs of all tenants."""


@command("list", jobs)
@click.option("--tenant", default="", help="Only of this tenant.")
@click.option("--of-user", "user", default="", help="Only of this user of the tenant.")
@click.option("--state", type=click.Choice(STATES, case_sensitive=False), help="Only in this state.")
@click.option("--model", default="", help="Only with this model.")
@click.option("--backend", default="", help="Only of this backend.")
@click.option("--since", type=MOMENT, help="Only admitted then or later: 2026-11-30, 2026-11-30T12:00:00Z.")
@click.option("--until", type=MOMENT, help="Only admitted before.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True)
def list_(
    connection: Connection,
    tenant: str,
    user: str,
    state: str | None,
    model: str,
    backend: str,
    since: Timestamp | None,
    until: Timestamp | None,
    limit: int,
) -> None:
    """Lists jobs, the newest first."""
    request = job_pb2.ListJobsRequest(
        tenant=f"tenants/{tenant}" if tenant and "/" not in tenant else tenant,
        user=user,
        state=jobs_pb2.Job.State.Value(state or "STATE_UNSPECIFIED"),
        model=model,
        backend=backend,
        since=since,
        until=until,
        page_size=min(limit, 200),
    )

    async def work(client: AsyncClient) -> None:
        stub = job_pb2_grpc.AdminJobServiceStub(client.channel())
        found = await pages(client, stub.ListJobs, request, "jobs", limit)
        show(connection, found, HEAD, row, "There are no such jobs.")

    connection.run(work)


@command("show", jobs)
@JOB
def show_(connection: Connection, job: str) -> None:
    """Shows all that is stored about a job: its holds, bookings, paid calls, queue entry and worker."""

    async def work(client: AsyncClient) -> None:
        stub: Any = job_pb2_grpc.AdminJobServiceStub(client.channel())
        found = await client.call(stub.GetJob, job_pb2.GetJobRequest(name=job))
        say(*([formatting.as_json(found)] if connection.json else lines(found)))

    connection.run(work)


@command("cancel", jobs)
@JOB
@REASON
def cancel(connection: Connection, job: str, reason: str) -> None:
    """Cancels a job, as its owner could: a waiting one costs nothing, a running one what it has made."""

    async def work(client: AsyncClient) -> None:
        stub: Any = job_pb2_grpc.AdminJobServiceStub(client.channel())
        cancelled = await client.call(stub.CancelJob, job_pb2.CancelJobRequest(name=job, reason=reason))
        show(connection, [cancelled], HEAD, row, "")

    connection.run(work)
