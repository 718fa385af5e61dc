"""Costs of whole videos: of nano, with Triton on the CPU, and of a remote model, with a simulated vendor.

What processes use while they wait for a video counts too, so the costs are higher on a busy machine.
"""

import asyncio
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
from i2v.v1 import job_pb2
from PIL import Image

from i2v_client import AsyncClient, job_spec
from services.orchestrator.store.embedded_postgres import EmbeddedPostgres
from tools import stack_vendors
from tools.sizing.usage_meter import UsageMeter
from tools.stack import PICTURE, PROMPT, Orchestrator
from tools.stack_process import free_port
from tools.tritonserver import TritonServer

VIDEOS = 12
SETTLED_S = 2.0
"""Time for what happens after the last video, such as its poster."""
MODELS = {"nano": ("nano", 5), "remote": ("wavespeed-wan-2.5", 5)}
"""By kind: the model, and the seconds of a video."""
SIMULATOR = "simulator"
Costs = dict[str, dict[str, float]]


@contextmanager
def installation(folder: Path) -> Iterator[tuple[Orchestrator, UsageMeter]]:
    """Gives an API, and a meter of it, of a worker, of Triton, of the providers and of PostgreSQL."""
    with ExitStack() as stack:
        postgres = EmbeddedPostgres(folder / "postgres")
        stack.callback(postgres.close)
        triton = stack.enter_context(TritonServer(state=folder / "triton"))
        vendors = stack_vendors.start(stack, folder, simulate=True)
        settings = vendors.settings | {
            "I2V_DATABASE_URL": postgres.url,
            "I2V_BLOBS_FOLDER": str(folder / "blobs"),
        }
        api, worker = (
            stack.enter_context(
                Orchestrator(
                    folder / role,
                    triton.grpc_address,
                    port=free_port(),
                    metrics_port=free_port(),
                    role=role,
                    more=settings,
                )
            )
            for role in ("api", "worker")
        )
        connection = stack.enter_context(psycopg.connect(postgres.admin_url, autocommit=True))
        providers = [each.pid for each in vendors.programs if SIMULATOR not in each.name]
        yield api, UsageMeter([api.pid, worker.pid, triton.pid, *providers], connection)


def measure() -> Costs:
    """Returns the costs of each kind, by names of costs.toml; two minutes."""
    with tempfile.TemporaryDirectory(prefix="i2v-sizing-") as name, installation(Path(name)) as (api, meter):
        return {kind: asyncio.run(_costs(api, meter, Path(name) / "blobs", *of)) for kind, of in MODELS.items()}


async def _costs(api: Orchestrator, meter: UsageMeter, blobs: Path, model: str, duration_s: int) -> dict[str, float]:
    async with AsyncClient(api.address, api.key_file.read_text().strip()) as client:
        picture = await client.upload(_large_picture(blobs.parent))

        async def make() -> tuple[float, int]:
            spec = job_spec(PROMPT, image=picture.name, model=model, duration_s=duration_s)
            job = await client.submit(spec)
            events = [event async for event in client.watch(job.name)]
            ended = await client.get(job.name)
            if ended.state != job_pb2.Job.SUCCEEDED:
                raise RuntimeError(f"the video was not made: {ended}")
            ran_s = (ended.end_time.ToNanoseconds() - ended.start_time.ToNanoseconds()) / 1e9
            return ran_s, len(events)

        await make()
        await asyncio.sleep(SETTLED_S)
        before, stored = meter.read(), _stored(blobs)
        made = [await make() for _ in range(VIDEOS)]
        await asyncio.sleep(SETTLED_S)
        used = meter.read() - before
    return {
        "run_s": sum(ran_s for ran_s, _ in made) / VIDEOS,
        "events": sum(events for _, events in made) / VIDEOS,
        "api_s": used.program_s[0] / VIDEOS,
        "worker_s": used.program_s[1] / VIDEOS,
        "triton_s": used.program_s[2] / VIDEOS,
        "provider_s": sum(used.program_s[3:]) / VIDEOS,
        "postgres_s": used.postgres_s / VIDEOS,
        "wal_bytes": used.wal_bytes / VIDEOS,
        "table_bytes": used.table_bytes / VIDEOS,
        "stored_bytes": (_stored(blobs) - stored) / VIDEOS,
    }


def _large_picture(folder: Path) -> Path:
    """Returns a picture that every model takes."""
    file = folder / "large.png"
    with Image.open(PICTURE) as opened:
        opened.resize((2 * opened.width, 2 * opened.height)).save(file)
    return file


def _stored(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
