"""ReconcileService: what operators may do about paid calls with an unknown outcome."""

import re
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

import grpc
from i2v.admin.v1 import reconcile_pb2, reconcile_pb2_grpc

from services.errors import PreconditionFailed
from services.orchestrator.api import proto_values
from services.orchestrator.api.acting import Acting
from services.orchestrator.domain.event import JobError
from services.orchestrator.domain.job import Job
from services.orchestrator.domain.paid_call import PaidCall
from services.orchestrator.domain.price import CURRENCY
from services.orchestrator.ports.jobs import Jobs
from services.orchestrator.ports.paid_calls import PaidCalls
from services.orchestrator.worker.lost_submission_reconciler import Reconciler
from services.reasons import RequestReason
from services.rpc import logs

REFERENCE_MOST = 512
JOB_ID = re.compile(r"[0-9a-f]{32}")
"""What a token is: the last job of the page before."""


@dataclass(frozen=True, slots=True)
class ReconcileService(reconcile_pb2_grpc.ReconcileServiceServicer):
    """Answers the RPCs of reconcile.proto, for operators."""

    jobs: Jobs
    paid_calls: PaidCalls
    acting: Acting
    reconciler: Reconciler

    async def ListPaidCalls(
        self, request: reconcile_pb2.ListPaidCallsRequest, context: grpc.ServicerContext
    ) -> reconcile_pb2.ListPaidCallsResponse:
        """Returns a page of the paid calls whose outcome is unknown."""
        size = proto_values.page_size(request.page_size)
        after = request.page_token
        if after and not JOB_ID.fullmatch(after):
            raise proto_values.refuse(
                "page_token", "is not one that this method gave", RequestReason.PAGE_TOKEN_MALFORMED
            )
        jobs = await self.paid_calls.reconciling(after=after, limit=size + 1)
        calls = [(job, await self.paid_calls.of_job(job)) for job in jobs[:size]]
        listed = [_paid_call(job, call, why=await self.reconciler.why(job)) for job, call in calls if call]
        shown = proto_values.fitting(listed)
        token = jobs[size - 1].id if len(jobs) > size else ""
        if shown < len(listed):
            token = listed[shown - 1].job.removeprefix("jobs/")
        return reconcile_pb2.ListPaidCallsResponse(paid_calls=listed[:shown], next_page_token=token)

    async def GetPaidCall(
        self, request: reconcile_pb2.GetPaidCallRequest, context: grpc.ServicerContext
    ) -> reconcile_pb2.PaidCall:
        """Returns the paid call of a job."""
        job_id = self._job_id(request.job)
        job = await self.jobs.get(job_id)
        call = await self.paid_calls.of_job(job)
        if call is None:
            raise PreconditionFailed("This job has no paid call.", reason=RequestReason.NOT_RECONCILING)
        return _paid_call(job, call, why=await self.reconciler.why(job))

    async def AttachPaidCall(
        self, request: reconcile_pb2.AttachPaidCallRequest, context: grpc.ServicerContext
    ) -> reconcile_pb2.PaidCall:
        """Continues a job with the vendor's task that an operator has found."""
        job_id = self._job_id(request.job)
        if not 1 <= len(request.external_ref) <= REFERENCE_MOST or not request.external_ref.isprintable():
            what = f"is 1 to {REFERENCE_MOST} printable characters: the vendor's own name of the task"
            raise proto_values.refuse("external_ref", what, RequestReason.REFERENCE_MALFORMED)
        async with await self._act("AttachPaidCall", job_id):
            call = await self.reconciler.call(job_id)
            return _paid_call(await self.reconciler.attach(job_id, request.external_ref), call, "accepted")

    async def ReleasePaidCall(
        self, request: reconcile_pb2.ReleasePaidCallRequest, context: grpc.ServicerContext
    ) -> reconcile_pb2.PaidCall:
        """Ends a job whose task costs nothing."""
        job_id = self._job_id(request.job)
        async with await self._act("ReleasePaidCall", job_id):
            call = await self.reconciler.call(job_id)
            return _paid_call(await self.reconciler.release(job_id), call, "released")

    async def ChargePaidCall(
        self, request: reconcile_pb2.ChargePaidCallRequest, context: grpc.ServicerContext
    ) -> reconcile_pb2.PaidCall:
        """Ends a job whose task was charged and brings no video."""
        job_id = self._job_id(request.job)
        async with await self._act("ChargePaidCall", job_id):
            call = await self.reconciler.call(job_id)
            return _paid_call(await self.reconciler.charge(job_id), call, "charged")

    async def RefundPaidCall(
        self, request: reconcile_pb2.RefundPaidCallRequest, context: grpc.ServicerContext
    ) -> reconcile_pb2.PaidCall:
        """Gives back the price of a job whose task was not charged after all."""
        job_id = self._job_id(request.job)
        async with await self._act("RefundPaidCall", job_id):
            refund = await self.reconciler.refund(job_id)
            return _paid_call(refund.job, refund.call, "released")

    async def _act(self, action: str, job_id: str) -> AbstractAsyncContextManager[None]:
        """Logs what an operator does to a job. Raises NotFound."""
        return self.acting.steps(action, f"jobs/{job_id}", tenant=(await self.jobs.get(job_id)).tenant)

    def _job_id(self, name: str) -> str:
        job_id = proto_values.resource_id(name, "jobs", field="job")
        logs.bind(job_id=job_id)
        return job_id


def _paid_call(job: Job, call: PaidCall, state: str = "", why: JobError | None = None) -> reconcile_pb2.PaidCall:
    return reconcile_pb2.PaidCall(
        job=f"jobs/{job.id}",
        tenant=job.tenant,
        user=job.user,
        job_state=job.state.value,
        state=state or call.state,
        provider=call.provider,
        model=call.model,
        submission_id=call.submission_id,
        submit_time=proto_values.timestamp(call.submit_time),
        price_micros=job.price_micros,
        currency_code=CURRENCY,
        reason=why.reason if why else "",
        message=why.message if why else "",
    )
