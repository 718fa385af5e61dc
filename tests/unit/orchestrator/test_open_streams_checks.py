"""The checks of open streams go on, and end what they must, when one of them fails."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

import pytest

from services.errors import ServiceError
from services.orchestrator.api import revocation
from services.orchestrator.api.authentication import Authentication, digest
from services.orchestrator.background_task import run_in_background
from services.orchestrator.domain.api_key import ApiKey
from services.orchestrator.domain.tenant import Tenant
from services.orchestrator.ports.credentials import TenantAccess
from services.rpc.admitted_calls import OpenStream
from services.rpc.auth import Principal
from tests.support.builders import FakeClock, a_plan

WATCH = "/i2v.v1.JobService/WatchJob"


class Credentials:
    """Keys in memory; a lookup of a broken one fails."""

    def __init__(self, *names: str) -> None:
        self._keys = {
            digest(name): TenantAccess(Tenant("studio", "test"), (), ApiKey(id=name, tenant="studio", name=name))
            for name in names
        }
        self.broken: set[str] = set()
        self.changed = asyncio.Event()

    def revoke(self, name: str) -> None:
        del self._keys[digest(name)]
        self.changed.set()

    async def of_key(self, key_sha256: str) -> TenantAccess | None:
        if key_sha256 in self.broken:
            raise RuntimeError("a row that cannot be read")
        return self._keys.get(key_sha256)

    async def of_tenant(self, tenant: str) -> TenantAccess | None:
        return None

    @asynccontextmanager
    async def changes(self) -> AsyncIterator["Credentials"]:
        yield self

    async def wait(self, timeout_s: float) -> bool:
        await self.changed.wait()
        self.changed.clear()
        return True


class Server:
    """Open streams, and how they were ended."""

    def __init__(self) -> None:
        self.streams: list[OpenStream] = []
        self.ended: asyncio.Queue[tuple[str, str]] = asyncio.Queue()

    def open_streams(self) -> list[OpenStream]:
        return list(self.streams)

    def end_stream(self, stream: OpenStream, reason: ServiceError) -> None:
        self.streams.remove(stream)
        credential: Any = stream.caller.credential
        self.ended.put_nowait((credential.access.key.id, reason.reason))


@pytest.mark.parametrize("broken_first", [True, False])
async def test_a_stream_that_cannot_be_checked_keeps_no_other_open_now_or_later(
    clock: FakeClock, broken_first: bool
) -> None:
    names = ["broken", "first", "second"] if broken_first else ["first", "second", "broken"]
    known: Any = Credentials(*names)
    callers, server, failed = Authentication(known, {"test": a_plan()}, clock), Server(), asyncio.Queue[str]()
    current: Any = asyncio.current_task()
    server.streams = [OpenStream(current, WATCH, Principal(await callers.verify(name), "anna")) for name in names]
    known.broken.add(digest("broken"))
    checking: Any = partial(revocation.enforce, callers, known, server)
    async with AsyncExitStack() as stack, asyncio.timeout(5):
        run_in_background(stack, checking, "revocation", failed.put_nowait, again_s=0.001)
        for name in ("first", "second"):
            known.revoke(name)
            assert await server.ended.get() == (name, "API_KEY_UNKNOWN")
            assert await failed.get() == "revocation"
    assert len(server.streams) == 1
