"""Costs of calls: submissions, reads, uploads, downloads, and streams that stay open. An API without a worker."""

import asyncio
import io
import tempfile
import uuid
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import grpc
import psycopg
from i2v.v1 import asset_pb2, asset_pb2_grpc, job_pb2, job_pb2_grpc
from PIL import Image

from services.orchestrator.store.embedded_postgres import EmbeddedPostgres
from tools.bench_service import PLANS
from tools.sizing.usage_meter import UsageMeter, private_bytes, tree
from tools.stack import PICTURE, Orchestrator
from tools.stack_process import free_port

WARM_UP, CALLS, FILES = 300, 3000, 100
AT_ONCE = 16
STREAMS, STREAMS_A_CONNECTION = 1000, 50
IDLE_S = 10.0
WATCH = "/i2v.v1.JobService/WatchJob"
Costs = dict[str, float]
Call = Callable[[], Awaitable[Any]]


def measure() -> Costs:
    """Returns the costs, by names of costs.toml; about a minute."""
    with tempfile.TemporaryDirectory(prefix="i2v-sizing-") as name, ExitStack() as stack:
        folder = Path(name)
        postgres = EmbeddedPostgres(folder / "postgres")
        stack.callback(postgres.close)
        settings = {"I2V_DATABASE_URL": postgres.url, "I2V_PLANS_FILE": str(PLANS), "I2V_MAX_CALLS": "4000"}
        settings |= {"I2V_TENANT_CALLS": "3000", "I2V_TENANT_WATCHES": "3000"}
        api = Orchestrator(folder, "127.0.0.1:9", port=free_port(), metrics_port=free_port(), role="api", more=settings)
        stack.enter_context(api)
        connection = stack.enter_context(psycopg.connect(postgres.admin_url, autocommit=True))
        return asyncio.run(_costs(api, UsageMeter([api.pid], connection)))


async def _costs(api: Orchestrator, meter: UsageMeter) -> Costs:
    who = (("authorization", f"Bearer {api.key_file.read_text().strip()}"), ("i2v-user", "sizing"))
    found: Costs = {}
    async with grpc.aio.insecure_channel(api.address) as channel:
        jobs: Any = job_pb2_grpc.JobServiceStub(channel)
        assets: Any = asset_pb2_grpc.AssetServiceStub(channel)
        spec = job_pb2.JobSpec(model="nano", text_to_video=job_pb2.TextToVideo(prompt="a wave"), seed=1)
        spec.duration.seconds = 1

        async def submit() -> Any:
            request = job_pb2.SubmitJobRequest(request_id=str(uuid.uuid4()), spec=spec)
            return await jobs.SubmitJob(request, metadata=who)

        name = (await submit()).name

        async def get() -> Any:
            return await jobs.GetJob(job_pb2.GetJobRequest(name=name), metadata=who)

        found |= await _cost("get", meter, get, CALLS)

        async def list_jobs() -> Any:
            return await jobs.ListJobs(job_pb2.ListJobsRequest(page_size=20), metadata=who)

        found |= await _cost("list", meter, list_jobs, CALLS // 5)
        found |= await _cost("submit", meter, submit, CALLS)  # after the reads: a long queue makes forecasts dear
        pictures = iter([_picture() for _ in range(2 * FILES + 1)])

        async def upload() -> Any:
            return await assets.WriteAsset(_parts(next(pictures)), metadata=who)

        found |= await _cost("upload", meter, upload, FILES)
        asset = (await upload()).name

        async def download() -> Any:
            return [
                len(each.data) async for each in assets.ReadAsset(asset_pb2.ReadAssetRequest(name=asset), metadata=who)
            ]

        found |= await _cost("download", meter, download, CALLS // 5)
    found["upload_bytes"] = len(_picture())
    found["stream_bytes"] = await _stream_bytes(api, name, who)
    before = meter.read()
    await asyncio.sleep(IDLE_S)
    idle = meter.read() - before
    found["idle_api_s_per_s"], found["idle_api_postgres_s_per_s"] = idle.program_s[0] / IDLE_S, idle.postgres_s / IDLE_S
    return found


async def _cost(what: str, meter: UsageMeter, call: Call, calls: int) -> Costs:
    """Makes calls, several at a time, and returns what one of them used."""
    left = iter(range(min(WARM_UP, calls)))

    async def work() -> None:
        for _ in left:
            await call()

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    before, left = meter.read(), iter(range(calls))
    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    used = meter.read() - before
    return {
        f"{what}_api_s": used.program_s[0] / calls,
        f"{what}_postgres_s": used.postgres_s / calls,
        f"{what}_wal_bytes": used.wal_bytes / calls,
        f"{what}_table_bytes": used.table_bytes / calls,
    }


def _picture() -> bytes:
    """Returns a picture like no other: the service stores each picture once."""
    with Image.open(PICTURE) as opened:
        picture = opened.convert("RGB")
    picture.putdata([(byte, byte, byte) for byte in uuid.uuid4().bytes])
    data = io.BytesIO()
    picture.save(data, "PNG", compress_level=1)
    return data.getvalue()


async def _parts(data: bytes) -> Any:
    header = asset_pb2.WriteAssetHeader(media_type="image/png", size_bytes=len(data))
    yield asset_pb2.WriteAssetRequest(header=header)
    yield asset_pb2.WriteAssetRequest(data=data)


async def _stream_bytes(api: Orchestrator, job: str, who: Any) -> float:
    """Returns the memory of the API for one open watch."""
    pids = tree(api.pid)
    before = private_bytes(pids)
    options = [("grpc.use_local_subchannel_pool", 1)]
    channels = [grpc.aio.insecure_channel(api.address, options=options) for _ in range(STREAMS // STREAMS_A_CONNECTION)]
    request, form = job_pb2.WatchJobRequest(name=job), job_pb2.WatchJobRequest.SerializeToString
    calls: list[Any] = [
        channels[number % len(channels)].unary_stream(WATCH, request_serializer=form)(request, metadata=who)
        for number in range(STREAMS)
    ]
    for call in calls:
        await call.read()
    used = private_bytes(pids) - before
    for call in calls:
        call.cancel()
    for channel in channels:
        await channel.close()
    return used / STREAMS
