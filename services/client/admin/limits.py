"""`i2v admin limits`: limits that differ from the plan's for one user, one key or the tenant as a whole."""

from typing import Any

import click
from i2v.admin.v1 import limit_pb2, limit_pb2_grpc

from i2v_client import AsyncClient
from services.client import formatting
from services.client.admin.group import REASON, TENANT, admin
from services.client.commands import command
from services.client.connection import Connection
from services.client.limit_lines import NONE, UNLIMITED
from services.client.listing import show
from services.client.terminal import say

UNITS = {"spend": "micros", "seconds": "milliseconds", "bytes": "bytes"}
"""Units of the counters; that of all others is jobs."""
HEAD = ("WHOSE", "LIMIT", "MOST", "REASON", "BY", "SET")
LIMIT = click.argument("limit")
OF_USER = click.option("--of-user", "user", default="", help="The user, if the limit begins with user.")
OF_KEY = click.option("--of-key", "key", default="", help="Id of the API key, if the limit begins with key.")


@admin.group()
def limits() -> None:
    """Overrides limits of a plan, such as 'user spend month', for one user, key or tenant."""


def _row(override: limit_pb2.LimitOverride) -> tuple[str, ...]:
    return (
        f"user {override.user}" if override.user else f"key {override.key}" if override.key else "tenant",
        override.limit,
        _most(override),
        override.reason,
        override.actor,
        formatting.moment(override.create_time),
    )


def _most(override: limit_pb2.LimitOverride) -> str:
    if not override.HasField("most"):
        return UNLIMITED
    measure = override.limit.split()[1].partition(":")[0]
    return f"{override.most} {UNITS.get(measure, 'jobs')}" if override.most else NONE


class Most(click.ParamType[int | None]):
    """An amount, or `unlimited`."""

    name = "most"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | None:
        """Returns the amount; None for unlimited."""
        if value == "unlimited":
            return None
        if not str(value).isascii() or not str(value).isdigit() or int(value) > 2**53:
            what = "is not a whole number up to 2^53, or unlimited; 0 is none. Put the limit before it in quotes"
            self.fail(f"{value!r} {what}, such as 'user spend month'.", param, ctx)
        return int(value)


@command("set", limits)
@TENANT
@LIMIT
@click.argument("most", type=Most())
@OF_USER
@OF_KEY
@REASON
def set_(connection: Connection, tenant: str, limit: str, most: int | None, user: str, key: str, reason: str) -> None:
    """Sets a limit to an amount in its unit (micros, jobs, milliseconds, bytes), or to unlimited."""
    request = limit_pb2.SetLimitRequest(tenant=tenant, user=user, key=key, limit=limit, most=most, reason=reason)

    async def work(client: AsyncClient) -> None:
        stub: Any = limit_pb2_grpc.LimitServiceStub(client.channel())
        show(connection, [await client.call(stub.SetLimit, request)], HEAD, _row, "")

    connection.run(work)


@command("unset", limits)
@TENANT
@LIMIT
@OF_USER
@OF_KEY
@REASON
def unset(connection: Connection, tenant: str, limit: str, user: str, key: str, reason: str) -> None:
    """Removes an override: the plan's limit holds again."""
    request = limit_pb2.UnsetLimitRequest(tenant=tenant, user=user, key=key, limit=limit, reason=reason)

    async def work(client: AsyncClient) -> None:
        stub: Any = limit_pb2_grpc.LimitServiceStub(client.channel())
        done = await client.call(stub.UnsetLimit, request)
        say(formatting.as_json(done) if connection.json else "The plan's limit holds again.")

    connection.run(work)


@command("list", limits)
@TENANT
def list_(connection: Connection, tenant: str) -> None:
    """Lists the overrides of a tenant."""

    async def work(client: AsyncClient) -> None:
        stub: Any = limit_pb2_grpc.LimitServiceStub(client.channel())
        found = await client.call(stub.ListLimits, limit_pb2.ListLimitsRequest(tenant=tenant))
        show(connection, found.limits, HEAD, _row, "All limits are those of the plan.")

    connection.run(work)
