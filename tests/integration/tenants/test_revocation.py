"""A key that is revoked, expires or loses its tenant: refused, and ended in mid-watch and mid-upload, within 5 s."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from i2v.admin.v1 import key_pb2, tenant_pb2
from i2v.v1 import asset_pb2, job_pb2

from services.orchestrator.role import Role
from services.rpc.status_codes import from_call
from tests.integration.tenants.conftest import WITHIN_S, Admin, becomes, refusal
from tests.support.builders import ScriptedBackend
from tests.support.served_orchestrator import Served, caller, served, text_spec

EXPIRED = ("UNAUTHENTICATED", "API_KEY_EXPIRED")
REVOKED = ("UNAUTHENTICATED", "API_KEY_REVOKED")
SUSPENDED = ("PERMISSION_DENIED", "TENANT_SUSPENDED")


class Streams:
    """An open watch and an open upload with one key."""

    def __init__(self, i2v: Served, key: str, job: str) -> None:
        self.held = asyncio.Event()
        who = caller(key=key)
        self.watch: Any = i2v.jobs.WatchJob(job_pb2.WatchJobRequest(name=job), metadata=who)
        self.upload: Any = i2v.assets.WriteAsset(self._parts(), metadata=who)
        self.reading = asyncio.ensure_future(self._read())

    async def _parts(self) -> AsyncIterator[asset_pb2.WriteAssetRequest]:
        yield asset_pb2.WriteAssetRequest(header=asset_pb2.WriteAssetHeader(media_type="image/png"))
        yield asset_pb2.WriteAssetRequest(data=b"\x89PNG")
        await self.held.wait()

    async def _read(self) -> None:
        async for _ in self.watch:
            pass

    async def ended(self, call: Any) -> tuple[str, str]:
        """Returns how a stream ended, within five seconds."""
        async with asyncio.timeout(WITHIN_S):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call
        failure = from_call(caught.value)
        return failure.code.name, failure.reason

    def close(self) -> None:
        self.held.set()
        self.watch.cancel()
        self.upload.cancel()


@pytest.fixture
async def job(i2v: Served, backend: ScriptedBackend) -> str:
    """A job that does not end."""
    backend.gate.clear()
    submitted = await i2v.submit(text_spec())
    await i2v.until(submitted.name, "fragment_ready")
    return submitted.name


async def test_a_revoked_key_ends_open_streams_and_is_refused(i2v: Served, admin: Admin, job: str) -> None:
    made = await admin.new_key()
    streams, others = Streams(i2v, made.key_text, job), Streams(i2v, "studio-key", job)
    await streams.watch.initial_metadata()
    await i2v.job(job, key=made.key_text)
    began = time.monotonic()
    await admin.RevokeKey(key_pb2.RevokeKeyRequest(name=made.key.name, reason="leaked"))
    assert await streams.ended(streams.reading) == REVOKED
    assert await streams.ended(streams.upload) == REVOKED
    assert time.monotonic() - began < WITHIN_S
    await becomes(REVOKED, lambda: i2v.job(job, key=made.key_text))
    assert not others.reading.done() and not others.upload.done(), "other keys go on"
    others.close()


async def test_a_key_expires_in_the_middle_of_its_streams(i2v: Served, admin: Admin, job: str) -> None:
    ends = Timestamp()
    ends.FromMilliseconds(int(time.time() * 1000) + 1500)
    made = await admin.new_key(expire_time=ends)
    streams = Streams(i2v, made.key_text, job)
    assert await streams.ended(streams.reading) == EXPIRED
    assert await streams.ended(streams.upload) == EXPIRED
    assert await refusal(i2v.job(job, key=made.key_text)) == EXPIRED


async def test_a_suspended_tenant_watches_on_but_its_uploads_end(i2v: Served, admin: Admin, job: str) -> None:
    streams = Streams(i2v, "studio-key", job)
    await streams.watch.initial_metadata()
    await admin.SuspendTenant(tenant_pb2.SuspendTenantRequest(name="tenants/studio", reason="unpaid"))
    assert await streams.ended(streams.upload) == SUSPENDED
    assert await refusal(i2v.submit(text_spec())) == SUSPENDED
    assert (await i2v.job(job)).name == job
    assert not streams.reading.done()
    streams.close()
    await admin.ResumeTenant(tenant_pb2.ResumeTenantRequest(name="tenants/studio", reason="paid"))
    async with asyncio.timeout(WITHIN_S):
        while True:
            try:
                await i2v.submit(text_spec())
                break
            except grpc.aio.AioRpcError:
                await asyncio.sleep(0)


async def test_a_revocation_by_one_process_holds_in_another(
    i2v: Served, admin: Admin, job: str, database: str, tmp_path: Path
) -> None:
    made = await admin.new_key()
    async with served(database, tmp_path / "other", {}, role=Role.API) as other:
        await other.job(job, key=made.key_text)
        await admin.RevokeKey(key_pb2.RevokeKeyRequest(name=made.key.name, reason="leaked"))
        await becomes(REVOKED, lambda: other.job(job, key=made.key_text))
