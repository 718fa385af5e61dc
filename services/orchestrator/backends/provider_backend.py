"""ProviderBackend: a vendor's models, behind the process that serves `i2v.provider.v1` for it.

Nothing here decides whether a job is charged; it only reports what is certain. A stream that breaks before the vendor
has accepted leaves the outcome UNKNOWN, unless the provider states that nothing was submitted. After a stream that
breaks later, another attempt attaches to the task.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Collection
from contextlib import ExitStack, closing
from typing import Any

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from i2v.provider.v1 import provider_pb2, provider_pb2_grpc

from services.certificates.certificate_files import CertificateFiles
from services.errors import Unavailable
from services.orchestrator.backends.grpc_error_message import is_full, message_of
from services.orchestrator.backends.task_progress import TaskProgress
from services.orchestrator.backends.task_stream import TaskStream
from services.orchestrator.backends.vendor_video_file import VendorVideoFile
from services.orchestrator.domain.event import JobError
from services.orchestrator.domain.forbidden_characters import kept
from services.orchestrator.domain.paid_call import Charge, Finding, Found, PaidCall
from services.orchestrator.ports.backend import (
    BackendEvent,
    GenerationRequest,
    Output,
    TaskAccepted,
    TaskSubmitting,
)
from services.orchestrator.ports.paid_backend import Availability, TaskFailed
from services.reasons import VendorReason, reason_of
from services.resource_shortage import shortage
from services.rpc import auth
from services.rpc.channel import open_channel
from services.rpc.client_metrics import ClientMetrics
from services.rpc.status_codes import from_call

SHORT_S = 10.0
"""Seconds that a provider may take for a call that needs no generation."""
SILENCE_S = 120.0
"""Seconds that the stream of an accepted task may be silent; a provider sends something every 15 seconds."""
OPTIONS = (
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.max_receive_message_length", 4 * 1024 * 1024),
    ("grpc.min_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 5_000),
    # A repeated Generate would be charged again, so gRPC must not retry.
    ("grpc.enable_retries", 0),
)
CHARGES = {
    provider_pb2.Failed.NOT_CHARGED: Charge.NOT_CHARGED,
    provider_pb2.Failed.CHARGED: Charge.CHARGED,
}
FINDINGS = {
    provider_pb2.FindResponse.FOUND: Finding.FOUND,
    provider_pb2.FindResponse.ABSENT: Finding.ABSENT,
}
STATES = {
    provider_pb2.Capabilities.AVAILABLE: "available",
    provider_pb2.Capabilities.BROKEN: "broken",
    provider_pb2.Capabilities.NO_KEY: "no-key",
    provider_pb2.Capabilities.NO_CREDIT: "no-credit",
}
UNFIT = {
    provider_pb2.Capabilities.NO_KEY: (VendorReason.BAD_KEY, "The vendor refuses our key."),
    provider_pb2.Capabilities.NO_CREDIT: (VendorReason.NO_CREDIT, "The vendor's account is empty."),
    provider_pb2.Capabilities.BROKEN: (VendorReason.CIRCUIT_OPEN, "Too many calls to the vendor failed lately."),
}

log = logging.getLogger(__name__)


class ProviderBackend:
    """The Vendor port over one provider. Use `close` at the end."""

    def __init__(
        self,
        address: str,
        key: Callable[[], str] = str,
        *,
        vendor: str = "",
        models: Callable[[], Collection[str]] = tuple,
        tls: CertificateFiles | None = None,
        calls: ClientMetrics | None = None,
    ) -> None:
        """`key` returns the orchestrator's credential at the provider; empty: it needs none.

        Without `tls` the connection is plaintext.

        `vendor` must be the provider's vendor; empty: any. `models` returns those that cards name.
        """
        self._channel = open_channel(address, OPTIONS, tls=tls, metrics=calls)
        self._key = key
        self._vendor, self._models = vendor, models
        # The generated stubs are typed for the synchronous API.
        self._stub: Any = provider_pb2_grpc.ProviderServiceStub(self._channel)

    async def close(self) -> None:
        """Closes the connection."""
        await self._channel.close()

    async def generate(self, attempt: GenerationRequest) -> AsyncGenerator[BackendEvent, None]:
        """Submits the task, or attaches to it, and yields what happens to it. Raises TaskFailed, Unavailable."""
        assert attempt.card.remote is not None
        model = attempt.card.remote.model
        # Before the submission: without a free file descriptor for the video, nothing is bought.
        video = VendorVideoFile(attempt.workdir / "video.mp4")
        with closing(video), ExitStack() as files:
            parts: TaskStream | None = None
            if attempt.external_ref:
                request = provider_pb2.AttachRequest(external_ref=attempt.external_ref, model=model)
                call = self._stub.Attach(request, metadata=auth.bearer(self._key()))
            else:
                # Before anything is journalled: most shortages show up here.
                self._demand(await self.capabilities(), {model} if self._vendor else ())
                parts = TaskStream(attempt, model, files)
                yield TaskSubmitting(model)
                call = self._stub.Generate(parts.messages(), metadata=auth.bearer(self._key()))
            try:
                async for event in self._events(call, attempt, video):
                    yield event
            except (asyncio.CancelledError, TaskFailed):
                # gRPC cancels a call if its messages cannot be read. A cancel of this task is something else.
                task = asyncio.current_task()
                if parts is None or parts.obstacle is None or (task is not None and task.cancelling()):
                    raise
                raise _unsent(parts.obstacle) from parts.obstacle
            finally:
                call.cancel()

    async def check(self) -> None:
        """Raises Unavailable unless the provider is our vendor's, has our models and accepts work now."""
        self._demand(await self.capabilities(), self._models())

    def _demand(self, found: provider_pb2.Capabilities, models: Collection[str]) -> None:
        """Raises Unavailable if it takes no work for these models now: jobs wait until it is repaired."""
        if wrong := self._foreign(found):
            raise Unavailable(wrong, reason=VendorReason.PROVIDER_MISMATCH)
        if lacking := sorted(set(models) - set(found.models)):
            raise Unavailable(
                f"The provider does not know the model {lacking[0]!r}.", reason=VendorReason.PROVIDER_MISMATCH
            )
        if found.availability in UNFIT:
            reason, message = UNFIT[found.availability]
            raise Unavailable(found.reason or message, reason=reason)

    def _foreign(self, found: provider_pb2.Capabilities) -> str:
        """Returns why the process that answers is not our vendor's provider; empty if it is."""
        if not self._vendor or found.vendor == self._vendor:
            return ""
        return f"What answers here speaks with {found.vendor[:40]!r}, not with {self._vendor!r}."

    async def capabilities(self) -> provider_pb2.Capabilities:
        """Returns what the provider can do, and whether it can now. Raises Unavailable."""
        request = provider_pb2.GetCapabilitiesRequest()
        found: provider_pb2.Capabilities = await self._short(self._stub.GetCapabilities, request)
        return found

    async def availability(self) -> Availability:
        """Returns whether the vendor takes work now."""
        try:
            found = await self.capabilities()
        except Unavailable as obstacle:
            return Availability("unreachable", obstacle.message)
        if wrong := self._foreign(found):
            return Availability("unreachable", wrong, found.simulation)
        state, lacking = STATES.get(found.availability, "unreachable"), frozenset(self._models()) - set(found.models)
        return Availability(state, found.reason, found.simulation, lacking)

    async def stop(self, external_ref: str, model: str) -> bool:
        """Cancels a task; returns whether it was stopped and costs nothing. Raises Unavailable."""
        request = provider_pb2.CancelRequest(external_ref=external_ref, model=model)
        answer = await self._short(self._stub.Cancel, request, timeout_s=3 * SHORT_S)
        return bool(answer.outcome == provider_pb2.CancelResponse.STOPPED)

    async def find(self, call: PaidCall) -> Found:
        """Searches for the task of a submission. Raises Unavailable."""
        submitted = Timestamp()
        submitted.FromDatetime(call.submit_time)
        request = provider_pb2.FindRequest(submission_id=call.submission_id, model=call.model, submit_time=submitted)
        answer = await self._short(self._stub.Find, request, timeout_s=3 * SHORT_S)
        finding = FINDINGS.get(answer.outcome, Finding.UNKNOWN)
        if finding is Finding.FOUND and not answer.external_ref:
            return Found(Finding.UNKNOWN)
        window = answer.refund_window.ToMilliseconds() / 1000 if answer.HasField("refund_window") else None
        return Found(finding, answer.external_ref, window)

    async def _short(self, method: Any, request: Any, *, timeout_s: float = SHORT_S) -> Any:
        try:
            return await method(request, metadata=auth.bearer(self._key()), timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            raise _away(error) from error

    async def _events(
        self, call: Any, attempt: GenerationRequest, video: VendorVideoFile
    ) -> AsyncIterator[BackendEvent]:
        """Yields what happens to a task. Raises TaskFailed, and Unavailable where attaching again may bring more."""
        accepted, progress = bool(attempt.external_ref), TaskProgress()
        try:
            while (event := await _next(call, accepted)) is not None:
                match event.WhichOneof("event"):
                    case "accepted":
                        if not attempt.external_ref and event.accepted.external_ref:
                            accepted = True
                            yield TaskAccepted(event.accepted.external_ref)
                    case "progress":
                        if (stage := progress.change(event.progress)) is not None:
                            yield stage
                    case "output":
                        await video.add(event.output.data)
                    case "done":
                        await video.settle()
                        if not video.holds(event.done.size_bytes, event.done.sha256):
                            raise Unavailable("The video did not come whole.", reason=VendorReason.OUTPUT_UNAVAILABLE)
                        yield Output(video.path, _promised(event.done.facts), video.sha256)
                        return
                    case "failed":
                        raise _failed(event.failed)
        except grpc.aio.AioRpcError as error:
            raise _broken(error, accepted) from error
        raise _broken(None, accepted)


async def _next(call: Any, accepted: bool) -> provider_pb2.TaskEvent | None:
    """Returns the next event of a stream, None at its end. Raises AioRpcError, and Unavailable after a long silence."""
    try:
        # Before the vendor has the task, its upload may take any time, and there is nothing to attach to.
        async with asyncio.timeout(SILENCE_S if accepted else None):
            event = await call.read()
    except TimeoutError:
        raise _away(None) from None
    return None if event is grpc.aio.EOF else event


def _promised(facts: provider_pb2.VendorFacts) -> dict[str, str]:
    promised = {kept(key, 256): kept(value, 256) for key, value in list(facts.promised.items())[:32]}
    if facts.model:
        promised["model"] = kept(facts.model, 256)
    if facts.HasField("nsfw"):
        promised["nsfw"] = str(facts.nsfw).lower()
    if facts.HasField("inference"):
        promised["inference_ms"] = str(facts.inference.ToMilliseconds())
    return promised


def _failed(failed: provider_pb2.Failed) -> Exception:
    """Returns the meaning of a task's end: a failure, or a pause if attaching again may bring the video."""
    if failed.retryable and failed.resumable:
        return Unavailable(failed.message, reason=reason_of(failed.reason))
    error = JobError(failed.reason, failed.message, retryable=failed.retryable, resumable=failed.resumable)
    wait_s = max(0.0, failed.retry_delay.ToMilliseconds() / 1000)
    return TaskFailed(error, CHARGES.get(failed.charge, Charge.UNKNOWN), wait_s=wait_s)


def _unsent(obstacle: Exception) -> TaskFailed:
    """Returns the result if inputs could not be sent completely: a provider never submits a part of them."""
    lacking = shortage(obstacle)
    reason = lacking.reason if lacking is not None else VendorReason.NOTHING_SUBMITTED
    error = JobError(reason, "The inputs could not be sent; nothing was submitted.", retryable=True)
    return TaskFailed(error, Charge.NOT_CHARGED)


def _broken(error: grpc.aio.AioRpcError | None, accepted: bool) -> Exception:
    """Returns the meaning of a stream that ended without a result."""
    if error is not None and not accepted and _refused(error):
        retryable = error.code() is not grpc.StatusCode.INVALID_ARGUMENT
        why = message_of(error, "it takes no calls of ours now.")
        what = JobError(VendorReason.NOTHING_SUBMITTED, f"The provider did not take the task: {why}", retryable)
        return TaskFailed(what, Charge.NOT_CHARGED)
    if accepted:
        return _away(error)
    if error is not None:
        log.warning("an answer was lost", extra={"code": error.code().name, "cause": error.details()})
    lost = JobError(
        VendorReason.ANSWER_LOST, "The provider's stream broke before the vendor's answer.", retryable=False
    )
    return TaskFailed(lost, Charge.UNKNOWN)


def _refused(error: grpc.aio.AioRpcError) -> bool:
    """Whether it is certain that nothing was submitted."""
    if is_full(error):
        return True
    return error.code() is grpc.StatusCode.UNAUTHENTICATED or from_call(error).reason == VendorReason.NOTHING_SUBMITTED


def _away(error: grpc.aio.AioRpcError | None) -> Unavailable:
    why = "its stream broke." if error is None else message_of(error, "the call failed.")
    return Unavailable(f"The provider cannot be reached: {why}", reason=VendorReason.PROVIDER_UNREACHABLE)
