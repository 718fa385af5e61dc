"""`i2v.provider.v1.ProviderService` over one vendor. See provider.proto."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from i2v.provider.v1 import provider_pb2 as pb
from i2v.provider.v1 import provider_pb2_grpc

from services.errors import InvalidInput, Unavailable
from services.providers import proto_messages
from services.providers.account_status import AccountStatus, Trouble
from services.providers.circuit_breaker import CircuitBreaker
from services.providers.metrics import VendorMeter
from services.providers.stream_heartbeat import Heartbeat, with_heartbeats
from services.providers.submissions import Submissions
from services.providers.system_clock import Clock
from services.providers.task import Task
from services.providers.task_inputs import Spool, wrong
from services.providers.task_polling import PollSchedule, poll
from services.providers.task_wakeups import TaskWakeups
from services.providers.vendor import REF, Failed, Finished, Stop, Troubled, Vendor, Working
from services.providers.video_download import Downloader
from services.resource_shortage import shortage

log = logging.getLogger(__name__)

NAME = "i2v.provider.v1.ProviderService"
STREAMS = (f"/{NAME}/Generate", f"/{NAME}/Attach")
CHUNK_BYTES = 1 << 20
CHUNK_S = 30.0
"""Without a message of a request that is not whole."""
BEAT_S = 10.0

STOPS = {
    Stop.STOPPED: pb.CancelResponse.STOPPED,
    Stop.GOES_ON: pb.CancelResponse.GOES_ON,
    Stop.ENDED: pb.CancelResponse.ENDED,
}
TROUBLES = {
    Trouble.NO_KEY: (pb.Capabilities.NO_KEY, "There is no key, or the vendor refused it."),
    Trouble.NO_CREDIT: (pb.Capabilities.NO_CREDIT, "The vendor's account has no credit left."),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the service is put together from."""

    vendor: Vendor
    simulation: bool
    spool: Path
    rhythm: PollSchedule
    clock: Clock
    meter: VendorMeter
    breaker: CircuitBreaker
    account: AccountStatus
    submissions: Submissions
    downloader: Downloader
    wakes: TaskWakeups


class ProviderService(provider_pb2_grpc.ProviderServiceServicer):
    """See provider.proto."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._vendor = parts.vendor
        self._delivering = 0
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._going_down = False

    async def GetCapabilities(self, request: pb.GetCapabilitiesRequest, context: Any) -> pb.Capabilities:
        """See provider.proto."""
        told = pb.Capabilities(
            vendor=self._vendor.name,
            simulation=self._parts.simulation,
            models=list(self._vendor.models),
            availability=pb.Capabilities.AVAILABLE,
            can_find=self._vendor.can_find,
            can_cancel=self._vendor.can_cancel,
        )
        breaker, trouble = self._parts.breaker, self._parts.account.trouble
        if trouble is not None:
            told.availability, told.reason = TROUBLES[trouble]
        elif breaker.is_open and breaker.retry_time is not None:
            # After its rest it takes the one task that shows whether the vendor is back; told otherwise, nobody hands
            # it over, and the breaker stays open for ever.
            told.availability = pb.Capabilities.BROKEN
            told.reason = "The vendor failed too often lately."
            told.retry_time.CopyFrom(proto_messages.time(breaker.retry_time))
        return told

    async def Generate(
        self, request_iterator: AsyncIterator[pb.GenerateRequest], context: Any
    ) -> AsyncGenerator[pb.TaskEvent, None]:
        """See provider.proto."""
        # A client of grpc.aio that is still writing when it is refused sees INTERNAL, not the refusal: so what refuses
        # waits until all of the request has come.
        if self._going_down:
            await _drain(request_iterator)
            raise Unavailable("This provider is going down.", reason="NOTHING_SUBMITTED", retry_after_s=0.1)
        self._delivering += 1
        self._quiet.clear()
        try:
            async with AsyncExitStack() as stack:
                try:
                    task = await self._received(request_iterator, stack)
                except (OSError, MemoryError, RuntimeError) as error:
                    if not isinstance(error, OSError) and shortage(error) is None:
                        raise
                    log.warning("a task's inputs cannot be kept", extra={"error": repr(error)})
                    await _drain(request_iterator)
                    message = "This provider cannot keep the task's inputs now."
                    raise Unavailable(message, reason="NOTHING_SUBMITTED") from error
                except InvalidInput:
                    await _drain(request_iterator)
                    raise
                ref = await self._parts.submissions.submit(task, stack.pop_all())
            yield proto_messages.accepted(ref)
        except Failed as failure:
            self._parts.meter.ended(task.model, failure.reason, failure.charge.value)
            yield proto_messages.failed(failure)
            return
        finally:
            self._delivering -= 1
            if not self._delivering:
                self._quiet.set()
        async with aclosing(self._followed(ref, task.model)) as events:
            async for event in events:
                yield event

    async def _received(self, requests: AsyncIterator[pb.GenerateRequest], stack: AsyncExitStack) -> Task:
        """Returns the task, all of it on disk, and all of it such that the vendor should take it."""
        first = await _next(requests)
        if first is None or first.WhichOneof("part") != "task":
            raise wrong("task", "is missing; it is the first message")
        header = first.task
        self._check_model(header.model)
        announced = proto_messages.announced(header)
        # Before the bytes come, as far as can be told without them: nobody sends 50 MB to hear that 10 were allowed.
        self._check(proto_messages.task_of(header, {each.role: each.unseen() for each in announced}))
        spool = await stack.enter_async_context(Spool(self._parts.spool))
        return proto_messages.task_of(header, await spool.receive(announced, _chunks(requests)))

    def _check(self, task: Task) -> None:
        violations = self._vendor.models[task.model].violations(task)
        if violations:
            raise InvalidInput(violations, reason="NOTHING_SUBMITTED")

    def _check_model(self, name: str) -> None:
        if name not in self._vendor.models:
            raise wrong("model", f"{name!r} is none of {', '.join(self._vendor.models)}")

    async def Attach(self, request: pb.AttachRequest, context: Any) -> AsyncGenerator[pb.TaskEvent, None]:
        """See provider.proto."""
        self._check_ref(request.external_ref, request.model)
        yield proto_messages.accepted(request.external_ref)
        async with aclosing(self._followed(request.external_ref, request.model)) as events:
            async for event in events:
                yield event

    def _check_ref(self, ref: str, model: str) -> None:
        self._check_model(model)
        if not REF.fullmatch(ref):
            raise wrong("external_ref", "is none that a vendor has given")

    async def _followed(self, ref: str, model: str) -> AsyncGenerator[pb.TaskEvent, None]:
        """Yields what comes after Accepted, to the last event."""
        parts = self._parts
        parts.meter.opened()
        try:
            finished: Finished | None = None
            async with aclosing(self._watched(ref, model)) as events:
                async for event in events:
                    if isinstance(event, Finished):
                        finished = event
                    else:
                        yield event
            assert finished is not None
            async with aclosing(self._fetched(finished)) as events:
                async for event in events:
                    yield event
            parts.meter.ended(model)
        except Failed as failure:
            parts.meter.ended(model, failure.reason, failure.charge.value)
            yield proto_messages.failed(failure)
        finally:
            parts.meter.closed()

    async def _watched(self, ref: str, model: str) -> AsyncGenerator[pb.TaskEvent | Finished, None]:
        parts, loop = self._parts, asyncio.get_running_loop()
        began, told_at, stage = loop.time(), 0.0, ""
        created: float | None = None
        with parts.wakes.waiting(ref) as wake:
            looks = poll(self._vendor, ref, model, rhythm=parts.rhythm, breaker=parts.breaker, wake=wake)
            async with aclosing(with_heartbeats(looks, BEAT_S)) as seen:
                async for item in seen:
                    if isinstance(item, Finished):
                        parts.meter.worked(model, loop.time() - began)
                        yield item
                        continue
                    before, now = stage, loop.time()
                    if isinstance(item, Working):
                        stage = item.stage
                        created = item.create_time.timestamp() if item.create_time else created
                    if stage != before or now - told_at >= BEAT_S or isinstance(item, Heartbeat):
                        told_at = now
                        elapsed_s = now - began if created is None else parts.clock() - created
                        yield proto_messages.progress(stage or "vendor-queue", elapsed_s)

    async def _fetched(self, finished: Finished) -> AsyncGenerator[pb.TaskEvent, None]:
        loop = asyncio.get_running_loop()
        began = told_at = loop.time()
        download = self._parts.downloader.start(finished.url)
        yield proto_messages.progress("download", 0.0)
        # Not pulsed: a task for each chunk would cost more than to fetch it. It stalls for less than a beat anyway.
        async with aclosing(download.chunks()) as chunks:
            async for chunk in chunks:
                if chunk:
                    yield proto_messages.output(chunk)
                now = loop.time()
                if not chunk or now - told_at >= BEAT_S:
                    told_at = now
                    whole = download.whole_bytes
                    fraction = min(1.0, download.size_bytes / whole) if whole else None
                    yield proto_messages.progress("download", now - began, fraction)
        yield proto_messages.done(download.size_bytes, download.sha256, finished.facts)

    async def Cancel(self, request: pb.CancelRequest, context: Any) -> pb.CancelResponse:
        """See provider.proto."""
        self._check_ref(request.external_ref, request.model)
        try:
            stop = await self._vendor.stop(request.external_ref, request.model)
        except Troubled as trouble:
            raise _unreachable(trouble) from trouble
        self._parts.wakes.wake(request.external_ref)
        return pb.CancelResponse(outcome=STOPS[stop])

    async def Find(self, request: pb.FindRequest, context: Any) -> pb.FindResponse:
        """See provider.proto."""
        self._check_model(request.model)
        ref = self._parts.submissions.ref(request.submission_id, request.model)
        if ref is not None:
            return pb.FindResponse(outcome=pb.FindResponse.FOUND, external_ref=ref)
        if self._parts.submissions.under_way(request.submission_id):
            return pb.FindResponse(outcome=pb.FindResponse.UNKNOWN)
        try:
            found = await self._vendor.find(
                request.model, request.submit_time.ToDatetime(UTC), datetime.fromtimestamp(self._parts.clock(), UTC)
            )
        except Troubled as trouble:
            raise _unreachable(trouble) from trouble
        if found.ref is not None:
            return pb.FindResponse(outcome=pb.FindResponse.FOUND, external_ref=found.ref)
        if found.certain:
            return pb.FindResponse(outcome=pb.FindResponse.ABSENT)
        return proto_messages.unknown(self._vendor.refund_window_s)

    async def settle(self, within_s: float) -> None:
        """Takes no new work, and waits until what is being submitted is known to its callers, or for so long."""
        self._going_down = True
        try:
            async with asyncio.timeout(within_s):
                await self._quiet.wait()
                await self._parts.submissions.settled()
        except TimeoutError:
            return


async def _next(requests: AsyncIterator[pb.GenerateRequest]) -> pb.GenerateRequest | None:
    try:
        async with asyncio.timeout(CHUNK_S):
            return await anext(requests, None)
    except TimeoutError as error:
        raise wrong("chunk", f"is missing: nothing came for {CHUNK_S:.0f} seconds") from error


async def _drain(requests: AsyncIterator[pb.GenerateRequest]) -> None:
    try:
        async with asyncio.timeout(CHUNK_S):
            async for _ in requests:
                pass
    except TimeoutError:
        return


async def _chunks(requests: AsyncIterator[pb.GenerateRequest]) -> AsyncIterator[bytes]:
    while (request := await _next(requests)) is not None:
        data = request.chunk.data
        if request.WhichOneof("part") != "chunk" or not 1 <= len(data) <= CHUNK_BYTES:
            raise wrong("chunk", f"is not 1 to {CHUNK_BYTES} bytes")
        yield data


def _unreachable(trouble: Troubled) -> Unavailable:
    return Unavailable(
        "The vendor could not be asked; nothing has changed.",
        reason="VENDOR_UNREACHABLE",
        retry_after_s=trouble.retry_delay_s or 5.0,
    )
