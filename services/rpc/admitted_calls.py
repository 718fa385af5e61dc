"""Admits calls: who calls, and whether a limit has room. Ends admitted calls that must make room, or that never end."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.errors import ServiceError, Unavailable
from services.reasons import ServiceReason
from services.rpc import auth, logs
from services.rpc.concurrent_call_limits import CallLimits, Gate, Group, OpenCalls, too_many_arrive

Metadata = Sequence[tuple[str, str | bytes]]


@dataclass(frozen=True, slots=True, eq=False)
class OpenStream:
    """An open call with a stream of requests or of responses, and its caller."""

    task: asyncio.Task[Any]
    method: str
    caller: auth.Principal


class AdmittedCalls:
    """The admitted calls of a server."""

    def __init__(self, limits: CallLimits, verify: auth.Verify | None, authorize: auth.Authorize | None) -> None:
        """Without `verify` no call needs a key. Without `authorize` a key is enough for every method."""
        self._limits = limits
        self._verify = verify
        self._authorize = authorize
        self._streams: dict[asyncio.Task[Any], OpenStream] = {}
        self._gate = Gate(limits)
        self._open = OpenCalls(limits.open_calls)
        self._arriving = 0
        self._endless: set[asyncio.Task[Any]] = set()
        self._reason_of_end: dict[asyncio.Task[Any], ServiceError] = {}
        self._going_down = False

    async def admit(
        self,
        task: asyncio.Task[Any],
        peer: str,
        metadata: Metadata,
        *,
        method: str,
        is_open: bool,
        endless: bool,
        streams: bool,
        group: Group | None,
    ) -> None:
        """Authenticates the caller, and checks the limits; `release` must follow.

        An `is_open` method needs no key, and `peer`, its caller's address, counts instead. An `endless` one is ended by
        `end_streams`. One that `streams` is in `open_streams` while it runs. Raises ServiceError.
        """
        if endless and self._going_down:
            raise _going_down()
        if is_open:
            replaced = self._open.enter(peer, task)
            if replaced is not None:
                self._end(replaced, self._open.crowded_out())
        else:
            caller = None if self._verify is None else await self._authenticate(metadata, self._verify)
            if caller is not None and self._authorize is not None:
                self._authorize(method, caller)
            tenant = caller.tenant if caller is not None else ""
            self._gate.enter(tenant, group)
            # When the task ends, not in `release`: gRPC still holds an answer that its caller does not take.
            task.add_done_callback(lambda _: self._gate.leave(tenant, group))
            if streams and caller is not None:
                self._streams[task] = OpenStream(task, method, caller)
        if endless:
            self._endless.add(task)

    def release(self, task: asyncio.Task[Any]) -> None:
        """A call has been answered, or was not admitted."""
        self._reason_of_end.pop(task, None)
        self._open.leave(task)
        self._endless.discard(task)
        self._streams.pop(task, None)

    def open_streams(self) -> list[OpenStream]:
        """Returns the open streams of callers with a key."""
        return list(self._streams.values())

    def end_stream(self, stream: OpenStream, reason: ServiceError) -> None:
        """Ends a stream with an error; without effect if it has ended."""
        if stream.task in self._streams:
            self._end(stream.task, reason)

    def reason_of_end(self, task: asyncio.Task[Any]) -> ServiceError | None:
        """Returns why we cancelled a call; None if we did not."""
        return self._reason_of_end.get(task)

    def end_streams(self) -> None:
        """Ends every endless stream with UNAVAILABLE, now and from now on, so that its client resumes elsewhere."""
        self._going_down = True
        for task in self._endless:
            self._end(task, _going_down())

    def _end(self, task: asyncio.Task[Any], reason: ServiceError) -> None:
        if task not in self._reason_of_end:
            self._reason_of_end[task] = reason
            task.cancel()

    async def _authenticate(self, metadata: Metadata, verify: auth.Verify) -> auth.Principal:
        """Returns the caller."""
        by_key: Mapping[str, str | bytes] = dict(metadata)
        if len(by_key) != len(metadata):
            auth.demand_single(metadata)
        if self._arriving >= self._limits.arriving:
            raise too_many_arrive()
        self._arriving += 1
        try:
            caller = await auth.authenticate(by_key, verify)
        finally:
            self._arriving -= 1
        logs.bind(tenant=caller.tenant)
        return caller


def _going_down() -> Unavailable:
    message = "This server is going down. Call again; another one answers."
    return Unavailable(message, reason=ServiceReason.GOING_DOWN, retry_after_s=0.1)
