"""A server of the public API that a test scripts, on a real socket, and a client of it."""

import asyncio
import hashlib
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from i2v.v1 import (
    asset_pb2,
    asset_pb2_grpc,
    catalog_pb2,
    catalog_pb2_grpc,
    job_pb2,
    job_pb2_grpc,
    usage_pb2,
    usage_pb2_grpc,
)
from prometheus_client import CollectorRegistry

from i2v_client import AsyncClient
from i2v_client.server_address import SERVICE
from services.certificates.certificate_files import CertificateFiles
from services.errors import InvalidUpload, Unavailable, Violation
from services.errors import NotFound as NoSuchThing
from services.errors import Unauthenticated as NoKey
from services.reasons import ServiceReason
from services.rpc.auth import Credential
from services.rpc.server import RpcServer, serve

Job = job_pb2.Job
Response = job_pb2.WatchJobResponse
Context = grpc.aio.ServicerContext[Any, Any]

KEY = "good-key"
VIDEO = b"\0\0\0\x18ftypisom" + bytes(range(256)) * 400
PICTURE = b"\x89PNG\r\n\x1a\n" + b"a picture"


def asset_name(data: bytes) -> str:
    return f"assets/{hashlib.sha256(data).hexdigest()}"


def usd(micros: int) -> job_pb2.Money:
    return job_pb2.Money(amount_micros=micros, currency_code="USD")


OUTPUT = job_pb2.VideoOutput(
    asset=asset_name(VIDEO),
    size=job_pb2.Size(width=224, height=128),
    frames=81,
    fps=16,
    duration=Duration(seconds=5, nanos=62_500_000),
    size_bytes=len(VIDEO),
)
THE_EVENTS = [
    job_pb2.JobEvent(sequence=1, admitted=job_pb2.Admitted(quote=usd(5000))),
    job_pb2.JobEvent(sequence=2, started=job_pb2.Started(attempt=1)),
    job_pb2.JobEvent(sequence=3, progressed=job_pb2.Progressed(stage="encode-inputs", progress=0.1)),
    job_pb2.JobEvent(sequence=4, fragment_ready=job_pb2.FragmentReady(index=0, frames=9, progress=0.5)),
    job_pb2.JobEvent(sequence=5, progressed=job_pb2.Progressed(stage="finish", progress=0.9)),
    job_pb2.JobEvent(sequence=6, succeeded=job_pb2.Succeeded(output=OUTPUT, charged=usd(5000))),
]


@dataclass
class Script(
    job_pb2_grpc.JobServiceServicer,
    asset_pb2_grpc.AssetServiceServicer,
    catalog_pb2_grpc.CatalogServiceServicer,
    usage_pb2_grpc.UsageServiceServicer,
):
    """One job, and one failure before each answer as long as there are some. Everything asked is kept."""

    events: list[job_pb2.JobEvent] = field(default_factory=lambda: list(THE_EVENTS))
    fail_submit: list[Exception] = field(default_factory=list)
    break_watch_after: list[int] = field(default_factory=list)
    end_watch_early: bool = False
    cut_download_at: list[int] = field(default_factory=list)
    cut_upload_at: list[int] = field(default_factory=list)
    received: dict[str, bytes] = field(default_factory=dict)
    """What was kept of uploads that were cut, by their ids."""
    stubborn: bool = False
    """A cancelled job goes on all the same."""
    endless: bool = False
    """The job goes on until it is cancelled."""
    endless_at: int = 5
    """The sequence number of the event that an endless job does not reach."""
    fail_watch: Exception | None = None
    """What every WatchJob raises."""
    listed: list[job_pb2.Job] = field(default_factory=list)
    """What ListJobs answers, instead of three pages."""
    files: dict[str, bytes] = field(default_factory=dict)
    """What ReadAsset answers by name, instead of the video."""
    names: str = ""
    """The prefix of every name of a model and a plan."""
    asked: list[Any] = field(default_factory=list)
    uploads: list[bytes] = field(default_factory=list)
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    job: Job = field(
        default_factory=lambda: Job(
            name="jobs/7", state=Job.SUCCEEDED, quote=usd(5000), charged=usd(5000), output=OUTPUT, last_sequence=6
        )
    )

    def asked_for(self, kind: type) -> list[Any]:
        return [each for each in self.asked if isinstance(each, kind)]

    async def SubmitJob(self, request: job_pb2.SubmitJobRequest, context: Context) -> Job:
        self.asked.append(request)
        if self.fail_submit:
            raise self.fail_submit.pop(0)
        return Job(name="jobs/7", state=Job.QUEUED, quote=usd(5000), spec=request.spec)

    async def GetJob(self, request: job_pb2.GetJobRequest, context: Context) -> Job:
        self.asked.append(request)
        if request.name != "jobs/7":
            raise NoSuchThing("job", request.name)
        return self.job

    async def ListJobs(self, request: job_pb2.ListJobsRequest, context: Context) -> job_pb2.ListJobsResponse:
        self.asked.append(request)
        if self.listed:
            return job_pb2.ListJobsResponse(jobs=self.listed)
        page = int(request.page_token or 0)
        jobs = [Job(name=f"jobs/{n}", state=Job.QUEUED) for n in range(page * 2, page * 2 + 2)]
        return job_pb2.ListJobsResponse(jobs=jobs, next_page_token=str(page + 1) if page < 2 else "")

    async def WatchJob(self, request: job_pb2.WatchJobRequest, context: Context) -> AsyncIterator[Response]:
        self.asked.append(request)
        if self.fail_watch is not None:
            raise self.fail_watch
        for event in self.events:
            if event.sequence <= request.after_sequence:
                continue
            if self.break_watch_after and event.sequence > self.break_watch_after[0]:
                del self.break_watch_after[0]
                if self.end_watch_early:
                    return
                raise Unavailable("Going down.", reason=ServiceReason.GOING_DOWN, retry_after_s=0.01)
            if self.endless and event.sequence == self.endless_at:
                await self.cancelled.wait()
                break
            yield Response(heartbeat=job_pb2.Heartbeat())
            yield Response(event=event)
        if self.endless:
            self.job = Job(name="jobs/7", state=Job.CANCELLED, charged=usd(1500), last_sequence=6)
            yield Response(event=job_pb2.JobEvent(sequence=5, cancel_requested=job_pb2.CancelRequested()))
            yield Response(event=job_pb2.JobEvent(sequence=6, cancelled=job_pb2.Cancelled(charged=usd(1500))))

    async def CancelJob(self, request: job_pb2.CancelJobRequest, context: Context) -> Job:
        self.asked.append(request)
        if not self.stubborn:
            self.cancelled.set()
        return Job(name="jobs/7", state=Job.CANCELLING, prompt=self.job.prompt)

    async def DeleteJob(self, request: job_pb2.DeleteJobRequest, context: Context) -> Job:
        self.asked.append(request)
        return Job(name=request.name, state=Job.CANCELLING if request.stop else Job.FAILED)

    async def ResumeJob(self, request: job_pb2.ResumeJobRequest, context: Context) -> Job:
        self.asked.append(request)
        return Job(name="jobs/7", state=Job.QUEUED, resumes=request.name)

    async def PreviewJob(self, request: job_pb2.PreviewJobRequest, context: Context) -> job_pb2.PreviewJobResponse:
        self.asked.append(request)
        budget = job_pb2.LimitStatus(
            subject="user",
            measure="spend",
            per="month",
            unit=job_pb2.LimitStatus.MICROS,
            limit=100_000,
            asked=5000,
            left=95_000,
        )
        length = job_pb2.LimitStatus(
            subject="tenant", measure="seconds", per="day", unit=job_pb2.LimitStatus.MILLISECONDS, used=2500
        )
        if request.spec.duration.seconds > 5:
            problem = job_pb2.FieldProblem(
                field="spec.duration", description="is 60 s; the model makes 1 to 5 s", reason="DURATION_NOT_OFFERED"
            )
            budget.exceeded, budget.left, budget.message = True, -5000, "The user's budget has too little left."
            return job_pb2.PreviewJobResponse(spec=request.spec, problems=[problem], limits=[budget])
        line = job_pb2.PriceLine(
            kind=job_pb2.PriceLine.VIDEO_SECONDS,
            description="video by nano",
            quantity=5,
            unit_price=usd(1000),
            amount=usd(5000),
        )
        return job_pb2.PreviewJobResponse(
            spec=request.spec,
            quote=usd(5000),
            budget_left=usd(95_000),
            frames=81,
            admissible=True,
            lines=[line],
            limits=[budget, length],
            expected_start_time=Timestamp(seconds=1_796_083_200),
            quote_token="QUOTE",
        )

    async def SubmitJobs(self, request: job_pb2.SubmitJobsRequest, context: Context) -> job_pb2.SubmitJobsResponse:
        self.asked.append(request)
        if self.fail_submit:
            raise self.fail_submit.pop(0)
        jobs = [Job(name="jobs/7", request_id=each.request_id) for each in request.jobs]
        return job_pb2.SubmitJobsResponse(results=[job_pb2.SubmitJobResult(job=each) for each in jobs])

    async def PreviewJobs(self, request: job_pb2.PreviewJobsRequest, context: Context) -> job_pb2.PreviewJobsResponse:
        return job_pb2.PreviewJobsResponse(jobs=[job_pb2.PreviewJobResponse() for _ in request.specs], admissible=True)

    async def WriteAsset(
        self, requests: AsyncIterator[asset_pb2.WriteAssetRequest], context: Context
    ) -> asset_pb2.Asset:
        header = (await anext(aiter(requests))).header
        self.asked.append(header)
        data = self.received.get(header.upload_id, b"")
        assert header.offset == len(data)
        async for part in requests:
            data += part.data
            if self.cut_upload_at and len(data) >= self.cut_upload_at[0]:
                del self.cut_upload_at[0]
                self.received[header.upload_id] = data[:-1000]
                raise Unavailable(reason=ServiceReason.GOING_DOWN, retry_after_s=0.01)
        if data.startswith(b"GIF8"):
            raise InvalidUpload([Violation("data", "is a GIF picture", "PICTURE_FORMAT")], reason="PICTURE_FORMAT")
        self.uploads.append(data)
        return asset_pb2.Asset(name=asset_name(data), media_type=header.media_type, size_bytes=len(data))

    async def QueryWriteStatus(
        self, request: asset_pb2.QueryWriteStatusRequest, context: Context
    ) -> asset_pb2.WriteStatus:
        if request.upload_id not in self.received:
            raise NoSuchThing("upload", request.upload_id)
        return asset_pb2.WriteStatus(received_bytes=len(self.received[request.upload_id]))

    async def GetAsset(self, request: asset_pb2.GetAssetRequest, context: Context) -> asset_pb2.Asset:
        return asset_pb2.Asset(name=request.name)

    async def ReadAsset(
        self, request: asset_pb2.ReadAssetRequest, context: Context
    ) -> AsyncIterator[asset_pb2.ReadAssetResponse]:
        self.asked.append(request)
        data = self.files.get(request.name, VIDEO)
        for at in range(request.offset, len(data), 10_000):
            if self.cut_download_at and at >= self.cut_download_at[0]:
                del self.cut_download_at[0]
                raise Unavailable(reason=ServiceReason.GOING_DOWN, retry_after_s=0.01)
            yield asset_pb2.ReadAssetResponse(data=data[at : at + 10_000])

    async def ListModels(
        self, request: catalog_pb2.ListModelsRequest, context: Context
    ) -> catalog_pb2.ListModelsResponse:
        nano = catalog_pb2.Model(
            name=f"models/{self.names}nano",
            display_name="Nano",
            operations=[catalog_pb2.Model.IMAGE_TO_VIDEO],
            sizes=[OUTPUT.size],
            durations=[Duration(seconds=5)],
            fps=16,
            price_per_second=usd(1000),
        )
        return catalog_pb2.ListModelsResponse(models=[nano])

    async def GetModel(self, request: catalog_pb2.GetModelRequest, context: Context) -> catalog_pb2.Model:
        return catalog_pb2.Model(name=request.name)

    async def GetUsage(self, request: usage_pb2.GetUsageRequest, context: Context) -> usage_pb2.Usage:
        limit = job_pb2.LimitStatus(subject="user", measure="spend", per="month", unit="MICROS", limit=7, left=5)
        return usage_pb2.Usage(plan=f"{self.names}free", limits=[limit])


async def verify(token: str) -> Credential:
    if token != KEY:
        raise NoKey(reason="API_KEY_UNKNOWN")
    return Credential("acme")


async def serving(
    script: Script,
    address: str = "127.0.0.1:0",
    connection_age_s: float = 0.0,
    tls: CertificateFiles | None = None,
) -> RpcServer:
    registrations = [
        lambda server: job_pb2_grpc.add_JobServiceServicer_to_server(script, server),
        lambda server: asset_pb2_grpc.add_AssetServiceServicer_to_server(script, server),
        lambda server: catalog_pb2_grpc.add_CatalogServiceServicer_to_server(script, server),
        lambda server: usage_pb2_grpc.add_UsageServiceServicer_to_server(script, server),
    ]
    watch = "/i2v.v1.JobService/WatchJob"
    return await serve(
        address,
        registrations,
        services=[SERVICE],
        registry=CollectorRegistry(),
        verify=verify,
        endless=[watch],
        connection_age_s=connection_age_s,
        tls=tls,
    )


def kept(port: int) -> socket.socket:
    """Keeps a port of a server that has ended for the next one: no connection of another process gets it meanwhile."""
    keeper = socket.socket()
    keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    keeper.bind(("127.0.0.1", port))
    return keeper


@dataclass
class Rig:
    script: Script
    server: RpcServer
    client: AsyncClient

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server.port}"


@asynccontextmanager
async def scripted() -> AsyncIterator[Rig]:
    """Starts both of them."""
    async with AsyncExitStack() as stack:
        script = Script()
        server = await serving(script)
        stack.push_async_callback(server.drain, 0)
        client = await stack.enter_async_context(AsyncClient(f"127.0.0.1:{server.port}", KEY, "ann", retry_for_s=5))
        yield Rig(script, server, client)
