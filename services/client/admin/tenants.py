"""`i2v admin tenants`: creates tenants, and changes their state, plan and calendar."""

from collections.abc import Callable
from typing import Any

import click
from i2v.admin.v1 import tenant_pb2, tenant_pb2_grpc
from i2v.v1 import job_pb2

from i2v_client import AsyncClient
from services.client import formatting, money_format
from services.client.admin.group import REASON, TENANT, admin
from services.client.commands import command
from services.client.connection import Connection
from services.client.listing import pages, show
from services.client.terminal import say

HEAD = ("TENANT", "STATE", "PLAN", "NEXT PLAN", "TIME ZONE", "ANNIVERSARY", "CREATED")
DRY_RUN = click.option("--dry-run", is_flag=True, help="Only tell what it is about; change nothing.")


@admin.group()
def tenants() -> None:
    """Creates, suspends, resumes and deletes tenants, and changes their plans."""


def _row(tenant: tenant_pb2.Tenant) -> tuple[str, ...]:
    following = f"{tenant.next_plan} from {formatting.moment(tenant.next_plan_time)}" if tenant.next_plan else ""
    return (
        tenant.name.removeprefix("tenants/"),
        tenant_pb2.Tenant.State.Name(tenant.state).lower(),
        tenant.plan,
        following,
        tenant.time_zone,
        tenant.anniversary,
        formatting.moment(tenant.create_time),
    )


def _call(connection: Connection, method: str, request: Any, print_: Callable[[Any], None]) -> None:
    async def work(client: AsyncClient) -> None:
        stub = tenant_pb2_grpc.TenantServiceStub(client.channel())
        print_(await client.call(getattr(stub, method), request))

    connection.run(work)


def _change(connection: Connection, method: str, request: Any) -> None:
    _call(connection, method, request, lambda tenant: show(connection, [tenant], HEAD, _row, ""))


def _effects(connection: Connection, method: str, request: Any) -> None:
    def print_(changed: Any) -> None:
        if connection.json:
            say(formatting.as_json(changed))
            return
        show(connection, [changed.tenant], HEAD, _row, "")
        say("", *_holdings(changed.holdings), "", *changed.effects)
        if request.validate_only:
            say("Nothing was changed.", err=True)

    _call(connection, method, request, print_)


def _holdings(holdings: tenant_pb2.TenantHoldings) -> list[str]:
    reserved = job_pb2.Money(amount_micros=holdings.reserved_micros, currency_code=holdings.currency_code)
    return formatting.columns(
        [
            ("unfinished jobs", f"{holdings.unfinished_jobs}, {holdings.queued_jobs} of them wait"),
            ("reserved", money_format.text(reserved)),
            ("jobs", str(holdings.jobs)),
            ("assets", f"{holdings.assets}, {holdings.asset_bytes} bytes"),
            ("keys", str(holdings.keys)),
        ]
    )


@command("create", tenants)
@click.argument("tenant")
@click.option("--plan", required=True, help="Name of a plan.")
@click.option("--time-zone", default="", help="IANA name. Default: UTC.")
@click.option("--anniversary", default="", help="A date such as 2026-11-30. Default: today.")
@REASON
def create(connection: Connection, tenant: str, plan: str, time_zone: str, anniversary: str, reason: str) -> None:
    """Creates a tenant: 1 to 63 of a-z, 0-9 and -."""
    request = tenant_pb2.CreateTenantRequest(
        tenant_id=tenant, plan=plan, time_zone=time_zone, anniversary=anniversary, reason=reason
    )
    _change(connection, "CreateTenant", request)


@command("list", tenants)
def list_(connection: Connection) -> None:
    """Lists the tenants, deleted ones too."""

    async def work(client: AsyncClient) -> None:
        stub = tenant_pb2_grpc.TenantServiceStub(client.channel())
        request = tenant_pb2.ListTenantsRequest(page_size=200)
        found = await pages(client, stub.ListTenants, request, "tenants")
        show(connection, found, HEAD, _row, "There are no tenants.")

    connection.run(work)


@command("show", tenants)
@TENANT
def show_(connection: Connection, tenant: str) -> None:
    """Shows a tenant and what it has."""

    def print_(found: tenant_pb2.GetTenantResponse) -> None:
        if connection.json:
            say(formatting.as_json(found))
            return
        show(connection, [found.tenant], HEAD, _row, "")
        say("", *_holdings(found.holdings))

    _call(connection, "GetTenant", tenant_pb2.GetTenantRequest(name=tenant), print_)


@command("suspend", tenants)
@TENANT
@click.option("--reason", default="", help="Why; needed without --dry-run.")
@DRY_RUN
def suspend(connection: Connection, tenant: str, reason: str, dry_run: bool) -> None:
    """Refuses new jobs and uploads of a tenant. Admitted jobs go on."""
    request = tenant_pb2.SuspendTenantRequest(name=tenant, reason=reason, validate_only=dry_run)
    _effects(connection, "SuspendTenant", request)


@command("resume", tenants)
@TENANT
@REASON
def resume(connection: Connection, tenant: str, reason: str) -> None:
    """Makes a suspended tenant active."""
    _change(connection, "ResumeTenant", tenant_pb2.ResumeTenantRequest(name=tenant, reason=reason))


@command("delete", tenants)
@TENANT
@click.option("--reason", default="", help="Why; needed without --dry-run.")
@click.option("--cancel-jobs", is_flag=True, help="Cancel the jobs that have not ended.")
@DRY_RUN
def delete(connection: Connection, tenant: str, reason: str, cancel_jobs: bool, dry_run: bool) -> None:
    """Revokes the keys of a tenant and closes it for good. The ledger is kept."""
    request = tenant_pb2.DeleteTenantRequest(name=tenant, reason=reason, cancel_jobs=cancel_jobs, validate_only=dry_run)
    _effects(connection, "DeleteTenant", request)


@command("set-plan", tenants)
@TENANT
@click.argument("plan")
@click.option("--at-period-end", is_flag=True, help="From the end of the month of the plan's limits on. Default: now.")
@REASON
def set_plan(connection: Connection, tenant: str, plan: str, at_period_end: bool, reason: str) -> None:
    """Gives a tenant another plan."""
    request = tenant_pb2.SetTenantPlanRequest(name=tenant, plan=plan, at_period_end=at_period_end, reason=reason)
    _change(connection, "SetTenantPlan", request)


@command("set-time-zone", tenants)
@TENANT
@click.argument("time_zone")
@click.option("--anniversary", default="", help="A date such as 2026-11-30. Default: unchanged.")
@REASON
def set_time_zone(connection: Connection, tenant: str, time_zone: str, anniversary: str, reason: str) -> None:
    """Sets where a tenant's days and months begin, and the day of its anniversary months."""
    request = tenant_pb2.SetTenantCalendarRequest(
        name=tenant, time_zone=time_zone, anniversary=anniversary, reason=reason
    )
    _change(connection, "SetTenantCalendar", request)
