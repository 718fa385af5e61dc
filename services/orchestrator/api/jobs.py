"""JobService: admission, queries, watch, cancel and resume."""

import base64
import binascii
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass

import grpc
from i2v.v1 import job_pb2, job_pb2_grpc

from services.orchestrator import admit, resume
from services.orchestrator.api import convert, history, spec
from services.orchestrator.api.feeds import Feeds
from services.orchestrator.api.tenants import Tenants
from services.orchestrator.domain import job as jobs
from services.orchestrator.domain.catalog import Catalog
from services.orchestrator.domain.job import State
from services.orchestrator.ports.disk import Room, any_room
from services.orchestrator.ports.meter import Meter
from services.orchestrator.ports.store import Store
from services.orchestrator.ports.system import Clock, Ids
from services.orchestrator.vendors import Vendors
from services.rpc import logs

TOKEN_MOST = 300

STATE_OF = {number: state for state, number in history.STATES.items()}


@dataclass(frozen=True, slots=True)
class JobService(job_pb2_grpc.JobServiceServicer):
    """See job.proto."""

    store: Store
    catalog: Catalog
    tenants: Tenants
    clock: Clock
    ids: Ids
    meter: Meter
    vendors: Vendors
    feeds: Feeds
    room: Room = any_room

    async def SubmitJob(self, request: job_pb2.SubmitJobRequest, context: grpc.ServicerContext) -> job_pb2.Job:
        """See job.proto."""
        job = await admit.admit(
            spec.from_pb(request.spec),
            self.tenants.caller(),
            request_id=convert.request_id(request.request_id),
            catalog=self.catalog,
            store=self.store,
            clock=self.clock,
            ids=self.ids,
            meter=self.meter,
            available=self.vendors.available,
            room=self.room,
        )
        logs.bind(job_id=job.id)
        return history.job(job)

    async def GetJob(self, request: job_pb2.GetJobRequest, context: grpc.ServicerContext) -> job_pb2.Job:
        """See job.proto."""
        job = await self._job(request.name)
        places = await self.store.places([job.id]) if job.state is State.QUEUED else {}
        return history.job(job, places.get(job.id, 0))

    async def ListJobs(
        self, request: job_pb2.ListJobsRequest, context: grpc.ServicerContext
    ) -> job_pb2.ListJobsResponse:
        """See job.proto."""
        size = convert.page_size(request.page_size)
        if request.state and request.state not in STATE_OF:
            raise convert.refuse("state", f"is {request.state}, which is no state", "STATE_UNKNOWN")
        state = STATE_OF[request.state] if request.state else None
        caller = self.tenants.caller()
        before = _before(request.page_token, state)
        found = await self.store.jobs(caller.tenant, caller.user, state=state, before=before, limit=size + 1)
        listed = [history.job(job) for job in found[:size]]
        shown = convert.fitting(listed)
        token = _token(found[shown - 1].id, state) if len(found) > shown else ""
        return job_pb2.ListJobsResponse(jobs=listed[:shown], next_page_token=token)

    async def WatchJob(  # type: ignore[override]  # encoded once for all watchers; see services.rpc.interceptor
        self, request: job_pb2.WatchJobRequest, context: grpc.ServicerContext
    ) -> AsyncIterator[bytes]:
        """See job.proto."""
        if request.after_sequence < 0:
            raise convert.refuse(
                "after_sequence", f"is {request.after_sequence}; 0 or more is allowed", "SEQUENCE_OUT_OF_RANGE"
            )
        job, after = await self._job(request.name), request.after_sequence
        if job.state.ended and after >= job.last_sequence:
            return
        async with aclosing(self.feeds.watch(job, after)) as responses:
            async for response in responses:
                yield response

    async def CancelJob(self, request: job_pb2.CancelJobRequest, context: grpc.ServicerContext) -> job_pb2.Job:
        """See job.proto."""
        before = await self._job(request.name)
        job = await self.store.record(before.id, jobs.cancel)
        if job.state is State.CANCELLED and not before.state.ended:
            self.meter.ended(job)
        return history.job(job)

    async def ResumeJob(self, request: job_pb2.ResumeJobRequest, context: grpc.ServicerContext) -> job_pb2.Job:
        """See job.proto."""
        job = await resume.resume(
            convert.resource_id(request.name, "jobs"),
            self.tenants.caller(),
            request_id=convert.request_id(request.request_id),
            store=self.store,
            clock=self.clock,
            ids=self.ids,
            meter=self.meter,
        )
        logs.bind(job_id=job.id)
        return history.job(job)

    async def PreviewJob(
        self, request: job_pb2.PreviewJobRequest, context: grpc.ServicerContext
    ) -> job_pb2.PreviewJobResponse:
        """See job.proto."""
        found = await admit.preview(
            spec.from_pb(request.spec),
            self.tenants.caller(),
            catalog=self.catalog,
            store=self.store,
            clock=self.clock,
            available=self.vendors.available,
        )
        return job_pb2.PreviewJobResponse(
            spec=spec.to_pb(found.spec),
            quote=convert.money(found.quote_micros),
            budget_left=convert.money(min(found.usage.tenant.left_micros, found.usage.user.left_micros)),
            frames=found.frames,
            queued_jobs=await self.store.queued(found.card.backend),
        )

    async def _job(self, name: str) -> jobs.Job:
        caller = self.tenants.caller()
        job_id = convert.resource_id(name, "jobs")
        logs.bind(job_id=job_id)
        return await self.store.job(job_id, tenant=caller.tenant, user=caller.user)


def _token(before: str, state: State | None) -> str:
    return base64.urlsafe_b64encode(json.dumps([before, state]).encode()).decode()


def _before(token: str, state: State | None) -> str | None:
    """Returns where a page begins. Raises InvalidInput when the token is not one of this method's, for this filter."""
    if not token:
        return None
    try:
        if len(token) > TOKEN_MOST:
            raise ValueError
        before, bound = json.loads(base64.urlsafe_b64decode(token.encode()))
        if isinstance(before, str) and bound == state:
            return convert.resource_id(f"jobs/{before}", "jobs")
    except (ValueError, TypeError, binascii.Error):
        pass
    raise convert.refuse(
        "page_token",
        "is not one that this method gave for the same `state`; begin again without",
        "PAGE_TOKEN_MALFORMED",
    )
