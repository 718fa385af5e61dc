"""A provider that a test controls, on a real socket: it counts the submissions, and answers as scripted."""

import asyncio
import hashlib
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status
from i2v.provider.v1 import provider_pb2, provider_pb2_grpc

from services.orchestrator.domain.spec import Size
from services.orchestrator.media.video_writer import VideoWriter
from tests.support.builders import some_frames

Failed = provider_pb2.Failed
Found = provider_pb2.FindResponse
Cancelled = provider_pb2.CancelResponse


def a_video(seconds: int = 5, width: int = 64, height: int = 32) -> bytes:
    """A real MP4 of so many seconds at 8 frames a second."""
    writer = VideoWriter(width, height, 8)
    writer.add(some_frames(8 * seconds, Size(width, height)))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "video.mp4"
        writer.finish(path)
        return path.read_bytes()


def a_failure(reason: str, charge: int, **more: Any) -> provider_pb2.Failed:
    return Failed(reason=reason, message="As scripted.", charge=charge, **more)  # type: ignore[arg-type]


class ScriptedProvider(provider_pb2_grpc.ProviderServiceServicer):
    """Every submission is counted, even if its answer is lost."""

    def __init__(self, video: bytes | None = None) -> None:
        self.video = a_video() if video is None else video
        self.submitted: list[provider_pb2.Task] = []
        self.inputs: list[list[bytes]] = []
        """Of each submission, the bytes of its inputs."""
        self.attached: list[str] = []
        self.found: list[provider_pb2.FindRequest] = []
        self.looks: asyncio.Queue[None] = asyncio.Queue()
        """One item for each check of the capabilities."""
        self.stopped: list[str] = []
        self.refusals: list[provider_pb2.Failed] = []
        """Answers in the place of Accepted, one a submission."""
        self.failures: list[provider_pb2.Failed] = []
        """Ends after Accepted, in the place of the video; one a stream."""
        self.refs: list[str] = []
        """The names of the next tasks; later tasks get numbers."""
        self.losses = 0
        """So many submissions lose their answer: the stream breaks before Accepted."""
        self.loss = (grpc.StatusCode.UNAVAILABLE, "the connection broke")
        """The status and the message of such a loss."""
        self.cuts = 0
        """So many streams break in the middle of the video."""
        self.unsubmitted = 0
        """So many calls are refused with NOTHING_SUBMITTED."""
        self.accepting, self.working = asyncio.Event(), asyncio.Event()
        """While cleared, a submission waits before its answer; an accepted task waits before its video."""
        self.accepting.set()
        self.working.set()
        self.asked, self.begun = asyncio.Event(), asyncio.Event()
        """Set when a submission has arrived; when a task is in progress."""
        self.finding: Any = Found.UNKNOWN
        self.found_ref = ""
        self.refund_window_s: float | None = None
        self.out_of_reach = False
        """The vendor cannot be asked for lost submissions."""
        self.stop_outcome: Any = Cancelled.GOES_ON
        self.capabilities = provider_pb2.Capabilities(
            vendor="vendor",
            simulation=True,
            models=["text"],
            availability=provider_pb2.Capabilities.AVAILABLE,
            can_find=True,
        )
        self.promised = {"width": "64", "height": "32"}
        self.keys: set[str] = set()
        """The credentials that came with calls."""

    async def GetCapabilities(self, request: Any, context: Any) -> provider_pb2.Capabilities:
        self.keys |= {str(value) for key, value in context.invocation_metadata() if key == "authorization"}
        return self.capabilities

    async def Generate(self, requests: Any, context: Any) -> AsyncIterator[provider_pb2.TaskEvent]:
        first = await anext(requests)
        task = first.task
        if self.unsubmitted:
            self.unsubmitted -= 1
            info = error_details_pb2.ErrorInfo(reason="NOTHING_SUBMITTED", domain="i2v")
            status = status_pb2.Status(code=code_pb2.UNAVAILABLE, message="going down")
            status.details.add().Pack(info)
            await context.abort_with_status(rpc_status.to_status(status))
        inputs = [b"" for _ in task.inputs]
        at = 0
        async for request in requests:
            while len(inputs[at]) == task.inputs[at].size_bytes:
                at += 1
            inputs[at] += request.chunk.data
        if [len(data) for data in inputs] != [each.size_bytes for each in task.inputs]:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "bytes are missing")  # as every provider does
        self.submitted.append(task)
        self.inputs.append(inputs)
        self.asked.set()
        await self.accepting.wait()
        if self.losses:
            self.losses -= 1
            await context.abort(*self.loss)
        if self.refusals:
            yield provider_pb2.TaskEvent(failed=self.refusals.pop(0))
            return
        ref = self.refs.pop(0) if self.refs else f"task-{len(self.submitted)}"
        yield provider_pb2.TaskEvent(accepted=provider_pb2.Accepted(external_ref=ref))
        async for event in self._works(context):
            yield event

    async def Attach(self, request: Any, context: Any) -> AsyncIterator[provider_pb2.TaskEvent]:
        self.attached.append(request.external_ref)
        yield provider_pb2.TaskEvent(accepted=provider_pb2.Accepted(external_ref=request.external_ref))
        async for event in self._works(context):
            yield event

    async def _works(self, context: Any) -> AsyncIterator[provider_pb2.TaskEvent]:
        for fraction in (0.0, 0.001, 0.5):
            progress = provider_pb2.Progress(stage="vendor-work", fraction=fraction)
            yield provider_pb2.TaskEvent(progress=progress)
        self.begun.set()
        await self.working.wait()
        if self.failures:
            yield provider_pb2.TaskEvent(failed=self.failures.pop(0))
            return
        half = len(self.video) // 2
        yield provider_pb2.TaskEvent(progress=provider_pb2.Progress(stage="download", fraction=0.0))
        yield provider_pb2.TaskEvent(output=provider_pb2.Output(data=self.video[:half]))
        if self.cuts:
            self.cuts -= 1
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the connection broke")
        yield provider_pb2.TaskEvent(output=provider_pb2.Output(data=self.video[half:]))
        facts = provider_pb2.VendorFacts(model="vendor/model", promised=self.promised)
        digest = hashlib.sha256(self.video).hexdigest()
        done = provider_pb2.Done(size_bytes=len(self.video), sha256=digest, facts=facts)
        yield provider_pb2.TaskEvent(done=done)

    async def Cancel(self, request: Any, context: Any) -> provider_pb2.CancelResponse:
        self.stopped.append(request.external_ref)
        return Cancelled(outcome=self.stop_outcome)

    async def Find(self, request: Any, context: Any) -> provider_pb2.FindResponse:
        self.found.append(request)
        self.looks.put_nowait(None)
        if self.out_of_reach:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the vendor could not be asked")
        answer = Found(outcome=self.finding, external_ref=self.found_ref)
        if self.refund_window_s is not None:
            answer.refund_window.FromMilliseconds(round(self.refund_window_s * 1000))
        return answer


@asynccontextmanager
async def providing(provider: ScriptedProvider, most_calls: int | None = None) -> AsyncIterator[str]:
    """Yields the address."""
    server = grpc.aio.server(maximum_concurrent_rpcs=most_calls)
    provider_pb2_grpc.add_ProviderServiceServicer_to_server(provider, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)
