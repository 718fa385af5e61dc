"""`i2v.provider.v1.ProviderService` over one vendor."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from i2v.provider.v1 import provider_pb2 as pb
from i2v.provider.v1 import provider_pb2_grpc

from services.errors import InvalidInput, Unavailable
from services.providers import proto_messages
from services.providers.account_status import AccountProblem, AccountStatus
from services.providers.circuit_breaker import CircuitBreaker
from services.providers.metrics import VendorMeter
from services.providers.submissions import Submissions
from services.providers.system_clock import Clock
from services.providers.task_events import TaskEvents
from services.providers.task_inputs import wrong
from services.providers.task_request import TaskRequests, drain
from services.providers.task_wakeups import TaskWakeups
from services.providers.vendor import REF, Failed, Stop, Vendor, VendorRequestFailed
from services.reasons import VendorReason
from services.resource_shortage import shortage

log = logging.getLogger(__name__)

NAME = "i2v.provider.v1.ProviderService"
STREAMS = (f"/{NAME}/Generate", f"/{NAME}/Attach")

STOPS = {
    Stop.STOPPED: pb.CancelResponse.STOPPED,
    Stop.GOES_ON: pb.CancelResponse.GOES_ON,
    Stop.ENDED: pb.CancelResponse.ENDED,
}
ACCOUNT_PROBLEMS = {
    AccountProblem.NO_KEY: (pb.Capabilities.NO_KEY, "There is no key, or the vendor refused it."),
    AccountProblem.NO_CREDIT: (pb.Capabilities.NO_CREDIT, "The vendor's account has no credit left."),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The parts of the service."""

    vendor: Vendor
    simulation: bool
    clock: Clock
    meter: VendorMeter
    breaker: CircuitBreaker
    account: AccountStatus
    requests: TaskRequests
    submissions: Submissions
    events: TaskEvents
    wakeups: TaskWakeups


class ProviderService(provider_pb2_grpc.ProviderServiceServicer):
    """The vendor's tasks: submit one, follow it, cancel it, find it again."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._vendor = parts.vendor
        self._submitting = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._going_down = False

    async def GetCapabilities(self, request: pb.GetCapabilitiesRequest, context: Any) -> pb.Capabilities:
        """Returns the vendor's models, and whether it takes work now."""
        found = pb.Capabilities(
            vendor=self._vendor.name,
            simulation=self._parts.simulation,
            models=list(self._vendor.models),
            availability=pb.Capabilities.AVAILABLE,
            can_find=self._vendor.can_find,
            can_cancel=self._vendor.can_cancel,
        )
        breaker, problem = self._parts.breaker, self._parts.account.problem
        if problem is not None:
            found.availability, found.reason = ACCOUNT_PROBLEMS[problem]
        elif breaker.is_open and breaker.retry_time is not None:
            # After its rest the breaker admits one task, which shows whether the vendor is back. If it were reported as
            # broken then, no caller would submit that task, and the breaker would never close.
            found.availability = pb.Capabilities.BROKEN
            found.reason = "The vendor failed too often lately."
            found.retry_time.CopyFrom(proto_messages.time(breaker.retry_time))
        return found

    async def Generate(
        self, request_iterator: AsyncIterator[pb.GenerateRequest], context: Any
    ) -> AsyncGenerator[pb.TaskEvent, None]:
        """Submits a task and yields its events."""
        # A client of grpc.aio that is still writing when it is refused gets INTERNAL, not the refusal: so a refusal
        # waits until the whole request has arrived.
        if self._going_down:
            await drain(request_iterator)
            raise Unavailable("This provider is going down.", reason=VendorReason.NOTHING_SUBMITTED, retry_after_s=0.1)
        self._submitting += 1
        self._idle.clear()
        try:
            async with AsyncExitStack() as stack:
                try:
                    task = await self._parts.requests.read(request_iterator, stack)
                except (OSError, MemoryError, RuntimeError) as error:
                    if not isinstance(error, OSError) and shortage(error) is None:
                        raise
                    log.warning("a task's inputs cannot be kept", extra={"cause": repr(error)})
                    await drain(request_iterator)
                    message = "This provider cannot keep the task's inputs now."
                    raise Unavailable(message, reason=VendorReason.NOTHING_SUBMITTED) from error
                except InvalidInput:
                    await drain(request_iterator)
                    raise
                ref = await self._parts.submissions.submit(task, stack.pop_all())
            yield proto_messages.accepted(ref)
        except Failed as failure:
            self._parts.meter.ended(task.model, failure.reason, failure.charge.value)
            yield proto_messages.failed(failure)
            return
        finally:
            self._submitting -= 1
            if not self._submitting:
                self._idle.set()
        async with aclosing(self._parts.events.of(ref, task.model)) as events:
            async for event in events:
                yield event

    async def Attach(self, request: pb.AttachRequest, context: Any) -> AsyncGenerator[pb.TaskEvent, None]:
        """Yields the events of a task that was submitted before."""
        self._check_ref(request.external_ref, request.model)
        yield proto_messages.accepted(request.external_ref)
        async with aclosing(self._parts.events.of(request.external_ref, request.model)) as events:
            async for event in events:
                yield event

    async def Cancel(self, request: pb.CancelRequest, context: Any) -> pb.CancelResponse:
        """Requests that the vendor stops a task."""
        self._check_ref(request.external_ref, request.model)
        try:
            stop = await self._vendor.stop(request.external_ref, request.model)
        except VendorRequestFailed as failed:
            raise _unreachable(failed) from failed
        self._parts.wakeups.wake(request.external_ref)
        return pb.CancelResponse(outcome=STOPS[stop])

    async def Find(self, request: pb.FindRequest, context: Any) -> pb.FindResponse:
        """Looks for the task of a submission whose answer was lost."""
        self._parts.requests.check_model(request.model)
        ref = self._parts.submissions.ref(request.submission_id, request.model)
        if ref is not None:
            return pb.FindResponse(outcome=pb.FindResponse.FOUND, external_ref=ref)
        if self._parts.submissions.in_progress(request.submission_id):
            return pb.FindResponse(outcome=pb.FindResponse.UNKNOWN)
        try:
            found = await self._vendor.find(
                request.model, request.submit_time.ToDatetime(UTC), datetime.fromtimestamp(self._parts.clock(), UTC)
            )
        except VendorRequestFailed as failed:
            raise _unreachable(failed) from failed
        if found.ref is not None:
            return pb.FindResponse(outcome=pb.FindResponse.FOUND, external_ref=found.ref)
        if found.certain:
            return pb.FindResponse(outcome=pb.FindResponse.ABSENT)
        return proto_messages.unknown(self._vendor.refund_window_s)

    async def settle(self, within_s: float) -> None:
        """Takes no new work, and waits at most so long until the outcome of every submission is known to its caller."""
        self._going_down = True
        try:
            async with asyncio.timeout(within_s):
                await self._idle.wait()
                await self._parts.submissions.settled()
        except TimeoutError:
            return

    def _check_ref(self, ref: str, model: str) -> None:
        self._parts.requests.check_model(model)
        if not REF.fullmatch(ref):
            raise wrong("external_ref", "is none that a vendor has given")


def _unreachable(failed: VendorRequestFailed) -> Unavailable:
    return Unavailable(
        "The vendor could not be asked; nothing has changed.",
        reason=VendorReason.VENDOR_UNREACHABLE,
        retry_after_s=failed.retry_delay_s or 5.0,
    )
