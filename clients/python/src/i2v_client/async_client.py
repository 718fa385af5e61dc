"""The service as a Python object: one method a call. Broken streams resume by themselves, nothing is paid for twice."""

import asyncio
import uuid
from collections.abc import AsyncGenerator, Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self, TypeVar

import grpc
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

from i2v_client import pages, watches
from i2v_client.asset_download import download_asset
from i2v_client.asset_upload import upload_asset
from i2v_client.job_spec import job_spec
from i2v_client.ledger import Ledger
from i2v_client.library import Library
from i2v_client.output_file import OutputFile
from i2v_client.provenance import Provenance
from i2v_client.service_channel import ServiceChannel
from i2v_client.tls_files import TlsSource
from i2v_client.upload_files import Upload
from i2v_client.watches import OnHeartbeat, OnOutage
from i2v_client.webhooks import Webhooks

Request = TypeVar("Request")
Response = TypeVar("Response")
Requests = Callable[[], AsyncGenerator[Request, None]]


class AsyncClient:
    """The service for one user. To be used as `async with`; every method raises I2VError."""

    def __init__(
        self,
        address: str,
        key: str,
        user: str = "default",
        *,
        tls: bool | TlsSource = False,
        retry_for_s: float = 30.0,
        timeout_s: float = 30.0,
    ) -> None:
        """`address` is `host:port`, or several, separated by commas; a name may also have several addresses.

        Calls go to every server that is connected and serves, in turn, so one may restart while another is up.
        `tls` may be `TlsFiles`: authorities to trust, and a certificate to show. A call is repeated until there was no
        contact for `retry_for_s`.

        Raises ValueError for an invalid address, key or user's name; the last two are printable ASCII characters.
        """
        self._channel = ServiceChannel(address, key, user, tls=tls, retry_for_s=retry_for_s, timeout_s=timeout_s)

    def __repr__(self) -> str:
        return f"AsyncClient({self._channel!r})"

    async def __aenter__(self) -> Self:
        await self._channel.open()
        self._jobs = job_pb2_grpc.JobServiceStub(self._channel.grpc)
        self._assets = asset_pb2_grpc.AssetServiceStub(self._channel.grpc)
        self._catalog = catalog_pb2_grpc.CatalogServiceStub(self._channel.grpc)
        self._usage = usage_pb2_grpc.UsageServiceStub(self._channel.grpc)
        self.library = Library(self._channel)
        self.ledger = Ledger(self._channel)
        self.provenance = Provenance(self._channel)
        self.webhooks = Webhooks(self._channel)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._channel.close()

    # Jobs.

    async def submit(
        self, spec: job_pb2.JobSpec, request_id: str | None = None, *, quote_token: str = ""
    ) -> job_pb2.Job:
        """Submits a job. A call that was not answered is repeated with the same request_id, so it is paid for once.

        `quote_token` is that of a preview of the same spec: the job is admitted only at its price.
        """
        request_id = request_id or str(uuid.uuid4())
        request = job_pb2.SubmitJobRequest(request_id=request_id, spec=spec, quote_token=quote_token)
        return await self._channel.call(self._jobs.SubmitJob, request)

    async def submit_jobs(
        self, jobs: Iterable[job_pb2.SubmitJobRequest], mode: "job_pb2.SubmitJobsRequest.Mode.ValueType"
    ) -> list[job_pb2.SubmitJobResult]:
        """Submits up to 100 jobs that count together, and returns a result for each in the same order.

        Jobs without a request_id get one. A repeat with the same request_ids returns the same jobs.
        """
        request = job_pb2.SubmitJobsRequest(jobs=jobs, mode=mode)
        for job in request.jobs:
            job.request_id = job.request_id or str(uuid.uuid4())
        return list((await self._channel.call(self._jobs.SubmitJobs, request)).results)

    async def get(self, name: str) -> job_pb2.Job:
        """Returns a job as it is now."""
        return await self._channel.call(self._jobs.GetJob, job_pb2.GetJobRequest(name=name))

    def jobs(
        self, state: "job_pb2.Job.State.ValueType" = job_pb2.Job.STATE_UNSPECIFIED, *, page_size: int = 50
    ) -> AsyncGenerator[job_pb2.Job, None]:
        """Yields the user's jobs, the newest first."""
        request = job_pb2.ListJobsRequest(page_size=page_size, state=state)
        return pages.each(self._channel.call, self._jobs.ListJobs, request, "jobs")

    def watch(
        self,
        name: str,
        after: int = 0,
        *,
        retry_for_s: float | None = None,
        on_outage: OnOutage = None,
        on_heartbeat: OnHeartbeat = None,
    ) -> AsyncGenerator[job_pb2.JobEvent, None]:
        """Yields a job's events after a sequence number, each once, and ends after the terminal one.

        A broken stream resumes where it stopped, until nothing came from the server for `retry_for_s`. `on_outage` is
        called once in each outage, about 2 s after it began, or when the next connection fails, with the latest error.
        `on_heartbeat` is called with each heartbeat, which has the place and the expected start of a waiting job.
        """
        return watches.job_events(self._channel, self._jobs, name, after, retry_for_s, on_outage, on_heartbeat)

    async def cancel(self, name: str) -> job_pb2.Job:
        """Requests that a job stops. Returns it: CANCELLED, CANCELLING, or as it had ended before."""
        return await self._channel.call(self._jobs.CancelJob, job_pb2.CancelJobRequest(name=name))

    async def delete_job(self, name: str, *, stop: bool = False) -> job_pb2.Job:
        """Deletes an ended job from the user's lists. Returns it. `stop`: stops one that has not ended, and deletes it.

        Its charge stays, and its video stays in the library.
        """
        return await self._channel.call(self._jobs.DeleteJob, job_pb2.DeleteJobRequest(name=name, stop=stop))

    async def resume(self, name: str, request_id: str = "") -> job_pb2.Job:
        """Fetches the video of a job that failed though it was paid for. Returns the new job, which costs nothing."""
        request = job_pb2.ResumeJobRequest(request_id=request_id or str(uuid.uuid4()), name=name)
        return await self._channel.call(self._jobs.ResumeJob, request)

    async def preview(self, spec: job_pb2.JobSpec) -> job_pb2.PreviewJobResponse:
        """Returns what `submit` would make and cost, and everything that would refuse it. Charges nothing."""
        return await self._channel.call(self._jobs.PreviewJob, job_pb2.PreviewJobRequest(spec=spec))

    async def preview_jobs(self, specs: Iterable[job_pb2.JobSpec]) -> job_pb2.PreviewJobsResponse:
        """Returns the same for up to 100 specs that count together. Charges nothing."""
        return await self._channel.call(self._jobs.PreviewJobs, job_pb2.PreviewJobsRequest(specs=specs))

    async def generate(
        self,
        image: Path | str | bytes | BinaryIO | None,
        prompt: str,
        model: str = "nano",
        duration_s: float | None = None,
        seed: int | None = None,
        out: Path | str | None = None,
        on_event: Callable[[job_pb2.JobEvent], None] | None = None,
    ) -> job_pb2.Job:
        """Uploads a picture, generates the video, waits for it and downloads it. Returns the job, however it ended.

        Raises OSError, before anything is paid, if `out` cannot be written.
        """
        if out is not None:
            await asyncio.to_thread(OutputFile(Path(out)).check)
        asset = (await self.upload(image, "image/*")).name if image is not None else ""
        job = await self.submit(job_spec(prompt, image=asset, model=model, duration_s=duration_s, seed=seed))
        async for event in self.watch(job.name):
            if on_event is not None:
                on_event(event)
        job = await self.get(job.name)
        if out is not None and job.state == job_pb2.Job.SUCCEEDED:
            await self.download(job.output.asset, out)
        return job

    # Assets.

    async def upload(self, source: Path | str | bytes | BinaryIO | Upload, media_type: str = "") -> asset_pb2.Asset:
        """Uploads a file of a path or an open one, or bytes. A large upload that breaks off continues.

        The asset's name is that of what was stored: pictures are written again.
        `media_type` says what the file is for: `image/*`, `audio/*` or `video/*`. Without it the server decides.
        """
        upload = await asyncio.to_thread(Upload.of, Path(source) if isinstance(source, str) else source)
        return await upload_asset(self._channel, self._assets, upload, media_type)

    async def download(self, name: str, to: Path | str | OutputFile | BinaryIO, variant: str = "") -> int:
        """Downloads an asset, or one of its variants such as `poster`, and returns the size in bytes.

        A file appears under its name only when it is complete and correct; the bytes for a device or a pipe are written
        as they arrive. Raises OSError, before any request is sent, if nothing can be written.
        """
        if isinstance(to, Path | str):
            to = OutputFile(Path(to))
        if not isinstance(to, OutputFile):
            file = to
            return await download_asset(
                self._channel, self._assets, name, lambda data: asyncio.to_thread(file.write, data), variant
            )
        await asyncio.to_thread(to.check)
        async with to.writing() as write:
            return await download_asset(self._channel, self._assets, name, write, variant)

    # Catalogue and money. `ledger` has sums, entries and statements.

    async def models(self) -> list[catalog_pb2.Model]:
        """Returns every model."""
        listed = pages.each(self._channel.call, self._catalog.ListModels, catalog_pb2.ListModelsRequest(), "models")
        return [model async for model in listed]

    async def model(self, name: str) -> catalog_pb2.Model:
        """Returns one model, `models/{id}`."""
        return await self._channel.call(self._catalog.GetModel, catalog_pb2.GetModelRequest(name=name))

    async def usage(self) -> usage_pb2.Usage:
        """Returns the budgets and the newest ledger entries."""
        return await self._channel.call(self._usage.GetUsage, usage_pb2.GetUsageRequest())

    def watch_usage(
        self, *, retry_for_s: float | None = None, on_outage: OnOutage = None
    ) -> AsyncGenerator[usage_pb2.WatchUsageResponse, None]:
        """Yields the state of the limits, then their changes and warnings, without end.

        It connects again as `watch` does; a new stream begins with the state.
        """
        return watches.usage_changes(self._channel, self._usage, retry_for_s, on_outage)

    def channel(self) -> grpc.aio.Channel:
        """Returns the channel, for services that this class has no methods for; see `call`."""
        return self._channel.grpc

    async def call(self, method: grpc.aio.UnaryUnaryMultiCallable[Request, Response], request: Request) -> Response:
        """Makes a call of such a service, repeated until it is answered."""
        return await self._channel.call(method, request)

    async def send(
        self, method: grpc.aio.StreamUnaryMultiCallable[Request, Response], requests: Requests[Request]
    ) -> Response:
        """Makes a call of such a service with a stream of requests, from the first one each time, until answered."""
        return await self._channel.upload(method, requests)

    def each(self, method: Any, request: Any, field: str) -> AsyncGenerator[Any, None]:
        """Yields what is in a field of the answers of such a service, of all pages. Raises I2VError."""
        return pages.each(self._channel.call, method, request, field)

    def stream(
        self, method: grpc.aio.UnaryStreamMultiCallable[Request, Response], request: Request
    ) -> AsyncGenerator[Response, None]:
        """Yields the responses of one call of such a service. It is not repeated. Raises I2VError."""
        return self._channel.stream(method, request)
