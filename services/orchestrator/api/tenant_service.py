"""TenantService: tenants, for operators."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

import grpc
from i2v.admin.v1 import tenant_pb2, tenant_pb2_grpc

from services.orchestrator.api import admin_messages, page_tokens, proto_values
from services.orchestrator.api.acting import Acting
from services.orchestrator.domain import next_event, tenant
from services.orchestrator.domain.limits.calendar import Per
from services.orchestrator.domain.plan import Plan
from services.orchestrator.domain.tenant import Holdings, Tenant
from services.orchestrator.ports.clock_and_ids import Clock
from services.orchestrator.ports.jobs import Jobs
from services.orchestrator.ports.meter import Meter
from services.orchestrator.ports.tenants import Tenants
from services.reasons import AccessReason

CANCEL_MOST = 500
"""Jobs that one call cancels."""


@dataclass(frozen=True, slots=True)
class TenantService(tenant_pb2_grpc.TenantServiceServicer):
    """Answers the RPCs of tenant.proto."""

    tenants: Tenants
    jobs: Jobs
    plans: Mapping[str, Plan]
    acting: Acting
    clock: Clock
    meter: Meter

    async def CreateTenant(
        self, request: tenant_pb2.CreateTenantRequest, context: grpc.ServicerContext
    ) -> tenant_pb2.Tenant:
        """Creates a tenant."""
        named = request.tenant_id
        async with self.acting.change("CreateTenant", f"tenants/{named}", request.reason, tenant=named) as act:
            tenant.demand_id(named, "tenant_id")
            self._demand_plan(request.plan)
            time_zone = request.time_zone or "UTC"
            tenant.demand_time_zone(time_zone)
            begins = request.anniversary and admin_messages.date_of(request.anniversary)
            created = Tenant(
                named,
                request.plan,
                time_zone=time_zone,
                anniversary=begins or act.time.astimezone(ZoneInfo(time_zone)).date(),
                create_time=act.time,
            )
            await self.tenants.create(created, act)
        return self._message(created)

    async def GetTenant(
        self, request: tenant_pb2.GetTenantRequest, context: grpc.ServicerContext
    ) -> tenant_pb2.GetTenantResponse:
        """Returns a tenant and what it has."""
        named = proto_values.resource_id(request.name, "tenants")
        found, holdings = await self.tenants.get(named), await self.tenants.holdings(named)
        return tenant_pb2.GetTenantResponse(tenant=self._message(found), holdings=admin_messages.holdings(holdings))

    async def ListTenants(
        self, request: tenant_pb2.ListTenantsRequest, context: grpc.ServicerContext
    ) -> tenant_pb2.ListTenantsResponse:
        """Returns a page of tenants."""
        size, after = proto_values.page_size(request.page_size), admin_messages.id_token(request.page_token)
        found = await self.tenants.page(after=after, limit=size + 1)
        token = found[size - 1].id if len(found) > size else ""
        return tenant_pb2.ListTenantsResponse(tenants=map(self._message, found[:size]), next_page_token=token)

    async def SuspendTenant(
        self, request: tenant_pb2.SuspendTenantRequest, context: grpc.ServicerContext
    ) -> tenant_pb2.ChangeTenantStateResponse:
        """Suspends a tenant, or says what that would be about."""
        named = proto_values.resource_id(request.name, "tenants")
        if request.validate_only:
            found = await self.tenants.get(named)
            tenant.suspend(found)
        else:
            found = await self._change("SuspendTenant", named, request.reason, tenant.suspend)
        return await self._effects(found, _suspension)

    async def ResumeTenant(
        self, request: tenant_pb2.ResumeTenantRequest, context: grpc.ServicerContext
    ) -> tenant_pb2.Tenant:
        """Makes a tenant active."""
        named = proto_values.resource_id(request.name, "tenants")
        return self._message(await self._change("ResumeTenant", named, request.reason, tenant.resume))

    async def DeleteTenant(
        self, request: tenant_pb2.DeleteTenantRequest, context: grpc.ServicerContext
    ) -> tenant_pb2.ChangeTenantStateResponse:
        """Deletes a tenant, or says what that would be about."""
        named = proto_values.resource_id(request.name, "tenants")
        if request.validate_only:
            return await self._effects(await self.tenants.get(named), _deletion)

        def decide(now: Tenant, unfinished_jobs: int) -> Tenant:
            return tenant.delete(now, unfinished_jobs, self.clock.now(), cancel_jobs=request.cancel_jobs)

        async with self.acting.change("DeleteTenant", f"tenants/{named}", request.reason, tenant=named) as act:
            deleted = await self.tenants.delete(named, decide, act)
        if request.cancel_jobs:
            await self._cancel_jobs(named)
        return await self._effects(deleted, _deletion)

    async def SetTenantPlan(
        self, request: tenant_pb2.SetTenantPlanRequest, context: grpc.ServicerContext
    ) -> tenant_pb2.Tenant:
        """Changes the plan, now or at the end of the present plan's month."""

        def decide(now: Tenant) -> Tenant:
            self._demand_plan(request.plan)
            moment = self.clock.now()
            present = self.plans.get(now.plan_at(moment))
            month = present.month if present else Per.MONTH
            return tenant.set_plan(now, request.plan, moment, at_end_of=month if request.at_period_end else None)

        named = proto_values.resource_id(request.name, "tenants")
        return self._message(await self._change("SetTenantPlan", named, request.reason, decide))

    async def SetTenantCalendar(
        self, request: tenant_pb2.SetTenantCalendarRequest, context: grpc.ServicerContext
    ) -> tenant_pb2.Tenant:
        """Changes the time zone or the anniversary."""

        def decide(now: Tenant) -> Tenant:
            begins: date | None = admin_messages.date_of(request.anniversary) if request.anniversary else None
            return tenant.set_calendar(now, request.time_zone, begins)

        named = proto_values.resource_id(request.name, "tenants")
        return self._message(await self._change("SetTenantCalendar", named, request.reason, decide))

    async def ListTenantUsers(
        self, request: tenant_pb2.ListTenantUsersRequest, context: grpc.ServicerContext
    ) -> tenant_pb2.ListTenantUsersResponse:
        """Returns a page of the users of a tenant."""
        named = proto_values.resource_id(request.tenant, "tenants", field="tenant")
        size, bound = proto_values.page_size(request.page_size), ["users", named]
        (after,) = page_tokens.decode(request.page_token, bound, 1) or [""]
        found = await self.tenants.users(named, after=after, limit=size + 1)
        token = page_tokens.encode([found[size - 1]], bound) if len(found) > size else ""
        return tenant_pb2.ListTenantUsersResponse(users=found[:size], next_page_token=token)

    async def _change(self, action: str, named: str, reason: str, decide: Callable[[Tenant], Tenant]) -> Tenant:
        async with self.acting.change(action, f"tenants/{named}", reason, tenant=named) as act:
            return await self.tenants.change(named, decide, act)

    async def _cancel_jobs(self, named: str) -> None:
        """Cancels jobs of a tenant, the oldest first. A running one is asked to stop."""
        for job_id in await self.tenants.unfinished(named, CANCEL_MOST):
            recorded = await self.jobs.record(job_id, next_event.cancel)
            if recorded.event is not None and recorded.after.state.ended:
                self.meter.ended(recorded.after)

    async def _effects(
        self, found: Tenant, say: Callable[[Holdings], Sequence[str]]
    ) -> tenant_pb2.ChangeTenantStateResponse:
        holdings = await self.tenants.holdings(found.id)
        return tenant_pb2.ChangeTenantStateResponse(
            tenant=self._message(found), holdings=admin_messages.holdings(holdings), effects=say(holdings)
        )

    def _demand_plan(self, plan: str) -> None:
        if plan not in self.plans:
            what = f"is {plan[:80]!r}; configured are {', '.join(sorted(self.plans))}"
            raise proto_values.refuse("plan", what, AccessReason.PLAN_NAME_UNKNOWN)

    def _message(self, given: Tenant) -> tenant_pb2.Tenant:
        now: datetime = self.clock.now()
        return admin_messages.tenant(given, now)


def _suspension(holdings: Holdings) -> list[str]:
    return [
        f"{holdings.unfinished_jobs} unfinished jobs go on and are charged, up to the reserved amount.",
        f"{holdings.assets} assets stay, and can be downloaded.",
        "New jobs and uploads are refused.",
    ]


def _deletion(holdings: Holdings) -> list[str]:
    unfinished = (
        f"{holdings.unfinished_jobs} unfinished jobs must end first, or be cancelled with cancel_jobs: "
        f"{holdings.queued_jobs} that wait cost nothing then, running ones what they have made."
    )
    return [
        unfinished if holdings.unfinished_jobs else "All of its jobs have ended.",
        f"{holdings.keys} keys are revoked.",
        f"{holdings.jobs} jobs and {holdings.assets} assets stay until retention removes them.",
        "The ledger and the audit log are kept.",
    ]
