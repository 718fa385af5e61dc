"""Reads the task of a Generate request: its header, then its inputs, which are written to disk."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

from i2v.provider.v1 import provider_pb2 as pb

from services.errors import InvalidInput
from services.providers import proto_messages
from services.providers.task import Task
from services.providers.task_inputs import Spool, wrong
from services.providers.vendor import Vendor
from services.reasons import VendorReason

CHUNK_BYTES = 1 << 20
CHUNK_S = 30.0
"""Seconds that a request may pause before it is complete."""

Requests = AsyncIterator[pb.GenerateRequest]


class TaskRequests:
    """Reads tasks for one vendor."""

    def __init__(self, vendor: Vendor, folder: Path) -> None:
        """Inputs are written into `folder`."""
        self._vendor = vendor
        self._folder = folder

    async def read(self, requests: Requests, stack: AsyncExitStack) -> Task:
        """Returns the task with all its inputs on disk until `stack` closes, valid for its model.

        Raises:
            InvalidInput: the request is not what its header announces, or the model does not take it.
        """
        first = await _next(requests)
        if first is None or first.WhichOneof("part") != "task":
            raise wrong("task", "is missing; it is the first message")
        header = first.task
        self.check_model(header.model)
        announced = proto_messages.announced(header)
        # Before the bytes arrive, as far as possible: a caller must not send 50 MB to learn that 10 are allowed.
        self._check(proto_messages.task_of(header, {each.role: each.unseen() for each in announced}))
        spool = await stack.enter_async_context(Spool(self._folder))
        return proto_messages.task_of(header, await spool.receive(announced, _chunks(requests)))

    def check_model(self, name: str) -> None:
        """Raises InvalidInput for a model that the vendor does not have."""
        if name not in self._vendor.models:
            raise wrong("model", f"{name!r} is none of {', '.join(self._vendor.models)}")

    def _check(self, task: Task) -> None:
        violations = self._vendor.models[task.model].violations(task)
        if violations:
            raise InvalidInput(violations, reason=VendorReason.NOTHING_SUBMITTED)


async def drain(requests: Requests) -> None:
    """Reads the rest of a request, without using it."""
    try:
        async with asyncio.timeout(CHUNK_S):
            async for _ in requests:
                pass
    except TimeoutError:
        return


async def _next(requests: Requests) -> pb.GenerateRequest | None:
    try:
        async with asyncio.timeout(CHUNK_S):
            return await anext(requests, None)
    except TimeoutError as error:
        raise wrong("chunk", f"is missing: nothing came for {CHUNK_S:.0f} seconds") from error


async def _chunks(requests: Requests) -> AsyncIterator[bytes]:
    while (request := await _next(requests)) is not None:
        data = request.chunk.data
        if request.WhichOneof("part") != "chunk" or not 1 <= len(data) <= CHUNK_BYTES:
            raise wrong("chunk", f"is not 1 to {CHUNK_BYTES} bytes")
        yield data
