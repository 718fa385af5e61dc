"""The service as a Python object: one method a verb. Broken streams go on by themselves, nothing is paid for twice."""

import asyncio
import hashlib
import re
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, closing
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self, TypeVar

import grpc
from google.protobuf.duration_pb2 import Duration
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

from services.client import proxy
from services.client.errors import I2VError, Unreachable, error_of
from services.client.output_file import OutputFile, Write
from services.client.retry import RetryPolicy, messages
from services.client.server_address import addresses, target
from services.client.server_address import options as balancing
from services.client.upload_files import Upload
from services.rpc.status_codes import Failure

ENDED = (job_pb2.Job.SUCCEEDED, job_pb2.Job.FAILED, job_pb2.Job.CANCELLED)
TERMINAL = ("succeeded", "failed", "cancelled")
"""The events that end a job."""
PRINTABLE = re.compile(r"[ -~]+")
USER_CHARACTERS = 128
OPTIONS = (
    # A server that hangs is detected before the deadline of a call. It allows a ping every 10 s. Two options set the
    # time limit of the answer, because otherwise gRPC waits for a minute.
    ("grpc.keepalive_time_ms", 11_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.ping_timeout_ms", 10_000),
    ("grpc.max_receive_message_length", 4 * 1024 * 1024),
    # By default gRPC reconnects after one second, and then with a back-off of up to two minutes. But a replica that is
    # back must be found before the next one stops.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 2_000),  # the time limit of one try
    ("grpc.max_reconnect_backoff_ms", 500),
    # After a lost connection gRPC looks the name up again, by default at most once in 30 s.
    ("grpc.dns_min_time_between_resolutions_ms", 2_000),
)

Request = TypeVar("Request")
Response = TypeVar("Response")


def job_spec(
    prompt: str,
    *,
    image: str = "",
    model: str = "nano",
    duration_s: float | None = None,
    size: tuple[int, int] | None = None,
    seed: int | None = None,
    fit: "job_pb2.ImageToVideo.Fit.ValueType" = job_pb2.ImageToVideo.FIT_UNSPECIFIED,
    quality: "job_pb2.JobSpec.Quality.ValueType" = job_pb2.JobSpec.QUALITY_UNSPECIFIED,
) -> job_pb2.JobSpec:
    """Returns a spec: image-to-video when `image` names an asset, else text-to-video."""
    spec = job_pb2.JobSpec(model=model, seed=seed, quality=quality)
    if image:
        spec.image_to_video.CopyFrom(job_pb2.ImageToVideo(image=image, prompt=prompt, fit=fit))
    else:
        spec.text_to_video.prompt = prompt
    if duration_s is not None:
        duration = Duration()
        duration.FromMilliseconds(round(duration_s * 1000))
        spec.duration.CopyFrom(duration)
    if size is not None:
        spec.size.CopyFrom(job_pb2.Size(width=size[0], height=size[1]))
    return spec


class Client:
    """One user's way to the service. To be used as `async with`; every method raises I2VError."""

    def __init__(
        self,
        address: str,
        key: str,
        user: str = "default",
        *,
        tls: bool | Path = False,
        patience_s: float = 30.0,
        timeout_s: float = 30.0,
    ) -> None:
        """`address` is `host:port`, or several, separated by commas; a name may also have several addresses.

        Calls go to every server that is connected and serves, in turn, so one may restart while another is up.
        `tls` may name a file of authorities to trust. After `patience_s` without any contact a call is given up.

        Raises:
            ValueError: the address is invalid; or the key or the user's name cannot be sent: they are 1 or more
                printable ASCII characters.
        """
        if not PRINTABLE.fullmatch(key):
            raise ValueError("the key is empty, or has other than printable ASCII characters")
        if not PRINTABLE.fullmatch(user) or len(user) > USER_CHARACTERS:
            raise ValueError(f"the user's name is 1 to {USER_CHARACTERS} printable ASCII characters")
        self._address = address
        self._addresses = addresses(address)
        self._tls = tls
        self._patience_s = patience_s
        self._timeout_s = timeout_s
        self._metadata = (("authorization", f"Bearer {key}"), ("i2v-user", user))

    def __repr__(self) -> str:
        return f"Client({self._address!r}, user={self._metadata[1][1]!r})"

    async def __aenter__(self) -> Self:
        try:
            where = await asyncio.to_thread(target, self._addresses)
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or str(error)
            raise Unreachable(Failure(grpc.StatusCode.UNAVAILABLE, why)) from error
        options = (*OPTIONS, *proxy.options(self._address), *balancing(self._addresses, tls=bool(self._tls)))
        if self._tls:
            authorities = self._tls.read_bytes() if isinstance(self._tls, Path) else None
            credentials = grpc.ssl_channel_credentials(authorities)
            self._channel = grpc.aio.secure_channel(where, credentials, options)
        else:
            self._channel = grpc.aio.insecure_channel(where, options)
        self._jobs = job_pb2_grpc.JobServiceStub(self._channel)
        self._assets = asset_pb2_grpc.AssetServiceStub(self._channel)
        self._catalog = catalog_pb2_grpc.CatalogServiceStub(self._channel)
        self._usage = usage_pb2_grpc.UsageServiceStub(self._channel)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._channel.close()

    # Jobs.

    async def submit(self, spec: job_pb2.JobSpec, request_id: str | None = None) -> job_pb2.Job:
        """Submits a job. A try that was not answered is repeated with the same request_id, so it is paid for once."""
        request = job_pb2.SubmitJobRequest(request_id=request_id or str(uuid.uuid4()), spec=spec)
        return await self._call(self._jobs.SubmitJob, request)

    async def get(self, name: str) -> job_pb2.Job:
        """Returns a job as it is now."""
        return await self._call(self._jobs.GetJob, job_pb2.GetJobRequest(name=name))

    async def jobs(
        self, state: "job_pb2.Job.State.ValueType" = job_pb2.Job.STATE_UNSPECIFIED, *, page_size: int = 50
    ) -> AsyncIterator[job_pb2.Job]:
        """Yields the user's jobs, the newest first."""
        request = job_pb2.ListJobsRequest(page_size=page_size, state=state)
        while True:
            page = await self._call(self._jobs.ListJobs, request)
            for job in page.jobs:
                yield job
            if not page.next_page_token:
                return
            request.page_token = page.next_page_token

    async def watch(
        self,
        name: str,
        after: int = 0,
        *,
        patience_s: float | None = None,
        on_outage: Callable[[Unreachable], None] | None = None,
    ) -> AsyncGenerator[job_pb2.JobEvent, None]:
        """Yields a job's events after a sequence number, each once, and ends after the terminal one.

        A broken stream goes on where it stopped, until nothing came from the server for `patience_s`. `on_outage` is
        called once in each outage, about 2 s after it began, or when the next connection fails, with the latest error.
        """
        most_s = self._patience_s if patience_s is None else patience_s
        with closing(RetryPolicy(most_s, on_outage=on_outage, connected=self._is_connected)) as patience:
            while True:
                request = job_pb2.WatchJobRequest(name=name, after_sequence=after)
                try:
                    async with aclosing(messages(self._jobs.WatchJob(request, metadata=self._metadata))) as responses:
                        async for response in responses:
                            patience.contact()
                            if response.WhichOneof("response") == "event" and response.event.sequence > after:
                                after = response.event.sequence
                                yield response.event
                                if response.event.WhichOneof("event") in TERMINAL:
                                    return
                except Unreachable as error:
                    await patience.wait(error)
                else:
                    # The stream ended well and brought no end: the job had ended before, or something cut it politely.
                    job = await self.get(name)
                    if job.state in ENDED and job.last_sequence <= after:
                        return
                    await patience.wait(_cut())

    async def cancel(self, name: str) -> job_pb2.Job:
        """Asks for a job to stop. Returns it: CANCELLED, CANCELLING, or as it had ended before."""
        return await self._call(self._jobs.CancelJob, job_pb2.CancelJobRequest(name=name))

    async def resume(self, name: str, request_id: str = "") -> job_pb2.Job:
        """Fetches the video of a job that failed though it was paid for. Returns the new job, which costs nothing."""
        request = job_pb2.ResumeJobRequest(request_id=request_id or str(uuid.uuid4()), name=name)
        return await self._call(self._jobs.ResumeJob, request)

    async def preview(self, spec: job_pb2.JobSpec) -> job_pb2.PreviewJobResponse:
        """Tells what `submit` would do and cost. Charges nothing."""
        return await self._call(self._jobs.PreviewJob, job_pb2.PreviewJobRequest(spec=spec))

    async def generate(
        self,
        image: Path | str | bytes | None,
        prompt: str,
        model: str = "nano",
        duration_s: float | None = None,
        seed: int | None = None,
        out: Path | str | None = None,
        on_event: Callable[[job_pb2.JobEvent], None] | None = None,
    ) -> job_pb2.Job:
        """Uploads a picture, makes the video, waits for it and downloads it. Returns the job, however it ended.

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

    async def upload(self, source: Path | str | bytes, media_type: str = "") -> asset_pb2.Asset:
        """Uploads a file, or bytes. The asset's name is that of what was stored: pictures are written again.

        `media_type` says what the file is for: `image/*`, `audio/*` or `video/*`; a more exact type has no more effect.
        The server reads the format from the bytes, and without a media type also what the file is for.
        """
        upload = await asyncio.to_thread(Upload.of, Path(source) if isinstance(source, str) else source)
        header = asset_pb2.WriteAssetHeader(media_type=media_type, size_bytes=upload.size_bytes, sha256=upload.sha256)

        async def parts() -> AsyncIterator[asset_pb2.WriteAssetRequest]:
            yield asset_pb2.WriteAssetRequest(header=header)
            async for chunk in upload.chunks():
                yield asset_pb2.WriteAssetRequest(data=chunk)

        return await self._patiently(lambda: self._assets.WriteAsset(parts(), metadata=self._metadata))

    async def download(self, name: str, to: Path | str | OutputFile | BinaryIO) -> int:
        """Downloads an asset and returns its size in bytes.

        A file appears under its name only when it is complete and correct; the bytes for a device or a pipe are written
        as they arrive. Raises OSError, before any request is sent, if nothing can be written.
        """
        if isinstance(to, Path | str):
            to = OutputFile(Path(to))
        if not isinstance(to, OutputFile):
            file = to
            return await self._download(name, lambda data: asyncio.to_thread(file.write, data))
        await asyncio.to_thread(to.check)
        async with to.writing() as write:
            return await self._download(name, write)

    async def _download(self, name: str, write: Write) -> int:
        patience, digest, size = RetryPolicy(self._patience_s), hashlib.sha256(), 0
        while True:
            request = asset_pb2.ReadAssetRequest(name=name, offset=size)
            try:
                async with aclosing(messages(self._assets.ReadAsset(request, metadata=self._metadata))) as responses:
                    async for response in responses:
                        patience.contact()
                        await write(response.data)
                        digest.update(response.data)
                        size += len(response.data)
                break
            except Unreachable as error:
                await patience.wait(error)
        if digest.hexdigest() != name.removeprefix("assets/"):
            damaged = f"{name} arrived damaged: {size} bytes with another checksum. Download it again."
            raise I2VError(Failure(grpc.StatusCode.DATA_LOSS, damaged, "CHECKSUM_WRONG", {"name": name}))
        return size

    # Catalogue and money.

    async def models(self) -> list[catalog_pb2.Model]:
        """Returns every model."""
        request = catalog_pb2.ListModelsRequest()
        found: list[catalog_pb2.Model] = []
        while True:
            page = await self._call(self._catalog.ListModels, request)
            found += page.models
            if not page.next_page_token:
                return found
            request.page_token = page.next_page_token

    async def model(self, name: str) -> catalog_pb2.Model:
        """Returns one model, `models/{id}`."""
        return await self._call(self._catalog.GetModel, catalog_pb2.GetModelRequest(name=name))

    async def usage(self) -> usage_pb2.Usage:
        """Returns the budgets and the newest ledger entries."""
        return await self._call(self._usage.GetUsage, usage_pb2.GetUsageRequest())

    def channel(self) -> grpc.aio.Channel:
        """The connection, for services that this class has no methods for; see `call`."""
        return self._channel

    async def call(self, method: grpc.aio.UnaryUnaryMultiCallable[Request, Response], request: Request) -> Response:
        """Makes a call of such a service as this class makes its own."""
        return await self._call(method, request)

    async def _call(self, method: grpc.aio.UnaryUnaryMultiCallable[Request, Response], request: Request) -> Response:
        return await self._patiently(lambda: method(request, metadata=self._metadata, timeout=self._timeout_s))

    def _is_connected(self) -> bool:
        return self._channel.get_state() is grpc.ChannelConnectivity.READY

    async def _patiently(self, call: Callable[[], Awaitable[Response]]) -> Response:
        """Makes a call until it is answered, or patience is over."""
        patience = RetryPolicy(self._patience_s)
        while True:
            try:
                return await call()
            except grpc.aio.AioRpcError as cause:
                error = error_of(cause)
                if not isinstance(error, Unreachable):
                    raise error from cause
                await patience.wait(error)


def _cut() -> Unreachable:
    return Unreachable(Failure(grpc.StatusCode.UNAVAILABLE, "The stream of events ended before the job did."))
