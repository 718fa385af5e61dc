"""JobService: admission, queries, watch, cancel, delete and resume."""

import base64
import binascii
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

import grpc
from i2v.v1 import job_pb2, job_pb2_grpc

from services.errors import NotFound
from services.orchestrator.admission import batch, resume
from services.orchestrator.admission.admit import Admitter, Submission
from services.orchestrator.admission.preview import Preview, Previewer
from services.orchestrator.admission.queue_forecasts import QueueForecasts
from services.orchestrator.api import batch_messages, job_messages, preview_messages, proto_values, spec_messages
from services.orchestrator.api.authentication import Authentication
from services.orchestrator.api.event_feed_registry import EventFeeds
from services.orchestrator.domain import next_event
from services.orchestrator.domain.caller import Caller
from services.orchestrator.domain.job import Job, State
from services.orchestrator.ports.admissions import Admissions
from services.orchestrator.ports.clock_and_ids import Clock, Ids
from services.orchestrator.ports.jobs import Jobs
from services.orchestrator.ports.meter import Meter
from services.orchestrator.ports.paid_calls import PaidCalls
from services.orchestrator.ports.queues import Queues
from services.reasons import RequestReason
from services.rpc import logs

TOKEN_MOST = 300

STATE_OF = {number: state for state, number in job_messages.STATES.items()}


@dataclass(frozen=True, slots=True)
class JobService(job_pb2_grpc.JobServiceServicer):
    """Answers the RPCs of job.proto."""

    admitter: Admitter
    previewer: Previewer
    admissions: Admissions
    jobs: Jobs
    queues: Queues
    paid_calls: PaidCalls
    callers: Authentication
    clock: Clock
    ids: Ids
    meter: Meter
    feeds: EventFeeds
    forecasts: QueueForecasts

    async def SubmitJob(self, request: job_pb2.SubmitJobRequest, context: grpc.ServicerContext) -> job_pb2.Job:
        """Admits a job."""
        submission = Submission(
            spec=spec_messages.from_pb(request.spec),
            request_id=proto_values.request_id(request.request_id),
            quote_token=request.quote_token,
        )
        job = await self.admitter.admit(submission, self.callers.caller())
        logs.bind(job_id=job.id)
        return job_messages.job(job)

    async def SubmitJobs(
        self, request: job_pb2.SubmitJobsRequest, context: grpc.ServicerContext
    ) -> job_pb2.SubmitJobsResponse:
        """Admits a batch of jobs: all or nothing, or each by itself."""
        batch_messages.check(request, len(request.jobs), "jobs")
        items, mode = batch_messages.items(request.jobs), batch_messages.mode(request.mode)
        outcomes = await batch.admit_batch(items, mode, self.callers.caller(), self.admitter)
        return batch_messages.results(outcomes)

    async def GetJob(self, request: job_pb2.GetJobRequest, context: grpc.ServicerContext) -> job_pb2.Job:
        """Returns a job, and while it waits or runs, what is expected of it."""
        job = await self._job(request.name)
        expected = {} if job.state.ended else await self.forecasts.expected([job.id])
        return job_messages.job(job, expected.get(job.id))

    async def ListJobs(
        self, request: job_pb2.ListJobsRequest, context: grpc.ServicerContext
    ) -> job_pb2.ListJobsResponse:
        """Returns a page of the caller's jobs."""
        size = proto_values.page_size(request.page_size)
        if request.state and request.state not in STATE_OF:
            raise proto_values.refuse("state", f"is {request.state}, which is no state", RequestReason.STATE_UNKNOWN)
        state = STATE_OF[request.state] if request.state else None
        caller = self.callers.caller()
        after, order = _after(request, state), request.oldest_first
        found = await self.jobs.page(
            caller.tenant,
            caller.user,
            state=state,
            after=after,
            oldest_first=order,
            omit_deleted=request.omit_deleted,
            limit=size + 1,
        )
        listed = [job_messages.job(job) for job in found[:size]]
        shown = proto_values.fitting(listed)
        token = _token(found[shown - 1].id, state, oldest_first=order) if len(found) > shown else ""
        return job_pb2.ListJobsResponse(jobs=listed[:shown], next_page_token=token)

    async def WatchJob(  # type: ignore[override]  # encoded once for all watchers; see services.rpc.interceptor
        self, request: job_pb2.WatchJobRequest, context: grpc.ServicerContext
    ) -> AsyncIterator[bytes]:
        """Streams a job's events until it has ended."""
        if request.after_sequence < 0:
            raise proto_values.refuse(
                "after_sequence",
                f"is {request.after_sequence}; 0 or more is allowed",
                RequestReason.SEQUENCE_OUT_OF_RANGE,
            )
        job, after = await self._job(request.name), request.after_sequence
        if job.state.ended and after >= job.last_sequence:
            return
        async with aclosing(self.feeds.watch(job, after)) as responses:
            async for response in responses:
                yield response

    async def CancelJob(self, request: job_pb2.CancelJobRequest, context: grpc.ServicerContext) -> job_pb2.Job:
        """Ends a waiting job, or requests that a running one stops."""
        job = await self._job(request.name)
        return job_messages.job(await self._stop(job.id))

    async def DeleteJob(self, request: job_pb2.DeleteJobRequest, context: grpc.ServicerContext) -> job_pb2.Job:
        """Takes an ended job out of what its user reads."""
        caller, job_id = self.callers.caller(), proto_values.resource_id(request.name, "jobs")
        logs.bind(job_id=job_id)
        if request.stop:
            await self._stop_unless_deleted(job_id, caller)
        job = await self.jobs.delete(job_id, tenant=caller.tenant, user=caller.user, stopping=request.stop)
        return job_messages.job(job)

    async def ResumeJob(self, request: job_pb2.ResumeJobRequest, context: grpc.ServicerContext) -> job_pb2.Job:
        """Admits a job that fetches the paid video of a failed one."""
        job = await resume.resume(
            proto_values.resource_id(request.name, "jobs"),
            self.callers.caller(),
            request_id=proto_values.request_id(request.request_id),
            admissions=self.admissions,
            jobs=self.jobs,
            paid_calls=self.paid_calls,
            clock=self.clock,
            ids=self.ids,
            meter=self.meter,
        )
        logs.bind(job_id=job.id)
        return job_messages.job(job)

    async def PreviewJob(
        self, request: job_pb2.PreviewJobRequest, context: grpc.ServicerContext
    ) -> job_pb2.PreviewJobResponse:
        """Returns what a job would be and cost; admits nothing."""
        caller = self.callers.caller()
        found = await self.previewer.preview(spec_messages.requested(request.spec), caller)
        (waiting,) = await self._waiting([found])
        return preview_messages.preview(found, request.spec, caller, waiting)

    async def PreviewJobs(
        self, request: job_pb2.PreviewJobsRequest, context: grpc.ServicerContext
    ) -> job_pb2.PreviewJobsResponse:
        """Returns what a batch would be and cost; admits nothing."""
        batch_messages.check(request, len(request.specs), "specs")
        caller = self.callers.caller()
        found = await self.previewer.preview_batch([*map(spec_messages.requested, request.specs)], caller)
        return preview_messages.batch(found, request.specs, caller, await self._waiting(found.previews))

    async def _waiting(self, previews: Sequence[Preview]) -> list[int]:
        """Returns how many jobs wait for the workers of each previewed job; 0 for one with problems."""
        backends = [each.quoted.routing.card.backend if each.quoted else "" for each in previews]
        lengths = {backend: await self.queues.length(backend) for backend in set(backends) if backend}
        return [lengths.get(backend, 0) for backend in backends]

    async def _stop(self, job_id: str) -> Job:
        recorded = await self.jobs.record(job_id, next_event.cancel)
        if recorded.event is not None and recorded.after.state.ended:
            self.meter.ended(recorded.after)
        return recorded.after

    async def _stop_unless_deleted(self, job_id: str, caller: Caller) -> None:
        try:
            await self.jobs.get(job_id, tenant=caller.tenant, user=caller.user)
        except NotFound:
            return  # or it is none of this user: the deletion finds out
        await self._stop(job_id)

    async def _job(self, name: str) -> Job:
        caller = self.callers.caller()
        job_id = proto_values.resource_id(name, "jobs")
        logs.bind(job_id=job_id)
        return await self.jobs.get(job_id, tenant=caller.tenant, user=caller.user)


def _token(after: str, state: State | None, *, oldest_first: bool) -> str:
    place = [after, state, True] if oldest_first else [after, state]
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode()


def _after(request: job_pb2.ListJobsRequest, state: State | None) -> str | None:
    """Returns the job before a page. Raises InvalidInput for a token that is not of this method and this filter."""
    token = request.page_token
    if token and request.after:
        raise proto_values.refuse("after", "goes with the first page alone", RequestReason.PAGE_TOKEN_MALFORMED)
    if not token:
        return proto_values.resource_id(request.after, "jobs", field="after") if request.after else None
    try:
        if len(token) > TOKEN_MOST:
            raise ValueError
        after, *bound = json.loads(base64.urlsafe_b64decode(token.encode()))
        if isinstance(after, str) and bound == ([state, True] if request.oldest_first else [state]):
            return proto_values.resource_id(f"jobs/{after}", "jobs")
    except (ValueError, TypeError, binascii.Error):
        pass
    raise proto_values.refuse(
        "page_token",
        "is not one that this method gave for the same `state` and order; begin again without",
        RequestReason.PAGE_TOKEN_MALFORMED,
    )
