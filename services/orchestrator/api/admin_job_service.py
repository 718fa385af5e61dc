"""AdminJobService: the jobs of all tenants, for operators."""

import hashlib
from dataclasses import dataclass

import grpc
from i2v.admin.v1 import job_pb2, job_pb2_grpc

from services.orchestrator.api import admin_job_messages, proto_values
from services.orchestrator.api.acting import Acting
from services.orchestrator.domain import next_event
from services.orchestrator.domain.audit import demand_reason
from services.orchestrator.ports.job_records import JobRecords
from services.orchestrator.ports.jobs import Jobs
from services.orchestrator.ports.meter import Meter
from services.reasons import RequestReason
from services.rpc import logs


@dataclass(frozen=True, slots=True)
class AdminJobService(job_pb2_grpc.AdminJobServiceServicer):
    """Answers the RPCs of job.proto of the administration."""

    records: JobRecords
    jobs: Jobs
    acting: Acting
    meter: Meter

    async def ListJobs(
        self, request: job_pb2.ListJobsRequest, context: grpc.ServicerContext
    ) -> job_pb2.ListJobsResponse:
        """Returns a page of jobs, the newest first."""
        size, which = proto_values.page_size(request.page_size), admin_job_messages.job_filter(request)
        bound = _bound(request)
        page = await self.records.page(which, before=_before(request.page_token, bound), limit=size)
        listed = [admin_job_messages.summary(each) for each in page.records]
        shown = proto_values.fitting(listed)
        following = page.next if shown == len(listed) else page.records[shown - 1].job.id
        token = f"{following}.{bound}" if following else ""
        return job_pb2.ListJobsResponse(jobs=listed[:shown], next_page_token=token)

    async def GetJob(self, request: job_pb2.GetJobRequest, context: grpc.ServicerContext) -> job_pb2.JobDetails:
        """Returns everything about a job."""
        return admin_job_messages.details(await self.records.details(_job_id(request.name)))

    async def CancelJob(self, request: job_pb2.CancelJobRequest, context: grpc.ServicerContext) -> job_pb2.JobSummary:
        """Ends a waiting job, or requests that a running one stops."""
        job_id = _job_id(request.name)
        tenant = (await self.jobs.get(job_id)).tenant
        async with self.acting.steps("CancelJob", f"jobs/{job_id}", tenant=tenant, reason=request.reason):
            demand_reason(request.reason)
            recorded = await self.jobs.record(job_id, next_event.cancel)
        if recorded.event is not None and recorded.after.state.ended:
            self.meter.ended(recorded.after)
        return admin_job_messages.summary((await self.records.details(job_id)).record)


def _job_id(name: str) -> str:
    job_id = proto_values.resource_id(name, "jobs")
    logs.bind(job_id=job_id)
    return job_id


def _bound(request: job_pb2.ListJobsRequest) -> str:
    """Returns a digest of the filters, which the tokens of the pages carry."""
    filters = job_pb2.ListJobsRequest()
    filters.CopyFrom(request)
    filters.ClearField("page_size")
    filters.ClearField("page_token")
    return hashlib.sha256(filters.SerializeToString(deterministic=True)).hexdigest()[:16]


def _before(token: str, bound: str) -> str | None:
    """Returns where a page begins. Raises InvalidInput if no page for these filters gave the token."""
    if not token:
        return None
    before, _, given = token.rpartition(".")
    if given != bound or not before.isalnum() or not before.isascii() or len(before) > 64:
        raise proto_values.refuse(
            "page_token",
            "is not one that this method gave for the same filters; begin again without",
            RequestReason.PAGE_TOKEN_MALFORMED,
        )
    return before
