"""An orchestrator in this process, on a real socket and a real database, seen through its generated stubs alone."""

import hashlib
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from i2v.v1 import (
    asset_pb2,
    asset_pb2_grpc,
    catalog_pb2_grpc,
    job_pb2,
    job_pb2_grpc,
    provenance_pb2,
    provenance_pb2_grpc,
    usage_pb2,
    usage_pb2_grpc,
)
from prometheus_client import CollectorRegistry

from services.orchestrator.api.authentication import digest
from services.orchestrator.app import App, open_app
from services.orchestrator.ports.backend import Backend, Limits
from services.orchestrator.role import Role
from services.orchestrator.settings import Settings

GOLDEN = Path(__file__).parents[1] / "golden"
KEYS = {"studio": "test", "story": "test", "poor": "poor"}
"""Tenants, each with the key `{tenant}-key`, and their plans."""


@dataclass(frozen=True)
class Served:
    """What a caller needs: stubs, and the metadata of who calls."""

    app: App
    channel: grpc.aio.Channel
    registry: CollectorRegistry

    @property
    def jobs(self) -> Any:
        return job_pb2_grpc.JobServiceStub(self.channel)

    @property
    def assets(self) -> Any:
        return asset_pb2_grpc.AssetServiceStub(self.channel)

    @property
    def catalog(self) -> Any:
        return catalog_pb2_grpc.CatalogServiceStub(self.channel)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.app.server.port}"

    async def upload(self, data: bytes, media_type: str = "image/png", **who: str) -> asset_pb2.Asset:
        header = asset_pb2.WriteAssetHeader(
            media_type=media_type, size_bytes=len(data), sha256=hashlib.sha256(data).hexdigest()
        )
        while True:
            try:
                return await self.assets.WriteAsset(parts(header, data), metadata=caller(**who))
            except grpc.aio.AioRpcError as error:
                # gRPC's client may report only this for a call that was answered while it was sending. So try again.
                if error.details() != "Internal error from Core":
                    raise

    async def submit(self, spec: job_pb2.JobSpec, request_id: str = "", **who: str) -> job_pb2.Job:
        request = job_pb2.SubmitJobRequest(request_id=request_id or str(uuid.uuid4()), spec=spec)
        return await self.jobs.SubmitJob(request, metadata=caller(**who))

    async def job(self, name: str, **who: str) -> job_pb2.Job:
        return await self.jobs.GetJob(job_pb2.GetJobRequest(name=name), metadata=caller(**who))

    async def cancel(self, name: str, **who: str) -> job_pb2.Job:
        return await self.jobs.CancelJob(job_pb2.CancelJobRequest(name=name), metadata=caller(**who))

    async def delete_job(self, name: str, *, stop: bool = False, **who: str) -> job_pb2.Job:
        return await self.jobs.DeleteJob(job_pb2.DeleteJobRequest(name=name, stop=stop), metadata=caller(**who))

    async def watch(self, name: str, after: int = 0, **who: str) -> AsyncIterator[job_pb2.JobEvent]:
        request = job_pb2.WatchJobRequest(name=name, after_sequence=after)
        async for answer in self.jobs.WatchJob(request, metadata=caller(**who)):
            if answer.WhichOneof("response") == "event":
                yield answer.event

    async def until(self, name: str, kind: str, **who: str) -> job_pb2.JobEvent:
        """Waits for an event of a kind."""
        async for event in self.watch(name, **who):
            if event.WhichOneof("event") == kind:
                return event
        raise AssertionError(f"{name} ended without {kind}")

    async def ended(self, name: str, **who: str) -> job_pb2.Job:
        """Waits for the end."""
        async for _ in self.watch(name, **who):
            pass
        return await self.job(name, **who)

    async def download(self, name: str, offset: int = 0, **who: str) -> bytes:
        request = asset_pb2.ReadAssetRequest(name=name, offset=offset)
        return b"".join([answer.data async for answer in self.assets.ReadAsset(request, metadata=caller(**who))])

    async def unsigned(self, job: job_pb2.Job, **who: str) -> str:
        """Returns the SHA-256 of a job's video before it was signed: the signature is never the same twice."""
        stub: Any = provenance_pb2_grpc.ProvenanceServiceStub(self.channel)
        request = provenance_pb2.GetManifestRequest(name=job.output.asset)
        return (await stub.GetManifest(request, metadata=caller(**who))).unsigned_sha256

    async def usage(self, **who: str) -> usage_pb2.Usage:
        stub: Any = usage_pb2_grpc.UsageServiceStub(self.channel)
        return await stub.GetUsage(usage_pb2.GetUsageRequest(), metadata=caller(**who))


def caller(tenant: str = "studio", user: str = "ann", key: str = "") -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {key or f'{tenant}-key'}"), ("i2v-user", user))


async def parts(
    header: asset_pb2.WriteAssetHeader, data: bytes, chunk: int = 65536
) -> AsyncIterator[asset_pb2.WriteAssetRequest]:
    yield asset_pb2.WriteAssetRequest(header=header)
    for first in range(0, len(data), chunk):
        yield asset_pb2.WriteAssetRequest(data=data[first : first + chunk])


def text_spec(prompt: str = "a wave", seconds: int = 1, **fields: Any) -> job_pb2.JobSpec:
    fields = {"model": "test-model"} | fields
    spec = job_pb2.JobSpec(text_to_video=job_pb2.TextToVideo(prompt=prompt), **fields)
    spec.duration.seconds = seconds
    return spec


def image_spec(image: str, prompt: str = "it moves", **fields: Any) -> job_pb2.JobSpec:
    return job_pb2.JobSpec(
        **{"model": "test-model"} | fields, image_to_video=job_pb2.ImageToVideo(image=image, prompt=prompt)
    )


@asynccontextmanager
async def served(
    database: str,
    data: Path,
    backends: Mapping[str, tuple[Backend, int | Limits]] | None,
    *,
    role: Role = Role.ALL,
    change: Callable[[dict[str, Any]], None] = lambda values: None,
    **options: Any,
) -> AsyncIterator[Served]:
    """`options` are those of `open_app`, such as its pace. Unless `change` says so, videos get no pixel mark."""
    values: dict[str, Any] = {
        "data": data,
        "database_url": database,
        "listen": "127.0.0.1:0",
        "metrics_listen": "127.0.0.1:0",
        "models_file": GOLDEN / "models.toml",
        "plans_file": GOLDEN / "plans.toml",
        "worker_name": "worker-0",
        "drain_s": 0.5,
        "pixel_mark": False,
    }
    change(values)
    registry = CollectorRegistry()
    async with open_app(Settings(**values), role, backends=backends, registry=registry, **options) as app:
        for tenant, plan in KEYS.items():
            await app.store.tenants.put(tenant, plan, digest(f"{tenant}-key"))
        async with grpc.aio.insecure_channel(f"127.0.0.1:{app.server.port}") as channel:
            yield Served(app, channel, registry)
