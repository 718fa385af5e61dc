"""Runs the whole stack with simulated vendors under a Prometheus and some load, and draws the dashboards from it.

`python -m tools.monitored_run --minutes 2 --out docs/dashboards` made the pictures of docs/monitoring.md.
"""

import argparse
import asyncio
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Coroutine
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import httpx
from i2v.admin.v1 import key_pb2, key_pb2_grpc, limit_pb2, limit_pb2_grpc
from i2v.v1 import job_pb2

from i2v_client import AsyncClient
from i2v_client.errors import I2VError
from tools.draw_dashboards import draw_all
from tools.made_certificates import a_certificate
from tools.monitored_pages import USER, Pages, receivers
from tools.prometheus_server import prometheus
from tools.stack import PICTURE, Orchestrator, start, start_studio, start_vendors
from tools.stack_process import HOST, free_port

LARGE = Path("tests/golden/cat-large.jpg")
"""Large enough for every vendor."""
WRONG = {"queue_s": 1, "work_s": 3, "video_s": 2, "polls": ["other-task", "500"]}
"""What simulated vendors do: one answer for another task, one failure, and videos that are too short."""
TENANT, REASON = "tenants/development", "a run for pictures"
SETTINGS = {"I2V_METRICS_TENANTS": "20", "I2V_ROLLUP_S": "5", "I2V_WEBHOOK_PRIVATE_HOSTS": HOST}


def run(minutes: float, out: Path) -> None:
    """Makes the run and the pictures. Raises StackError."""
    with tempfile.TemporaryDirectory(prefix="i2v-run-") as kept, ExitStack() as stack:
        data = Path(kept)
        remote = start_vendors(stack, data, simulate=True)
        remote.settings |= SETTINGS
        triton, orchestrator = start(stack, data, port=free_port(), metrics_port=free_port(), remote=remote)
        certificate, key = a_certificate(data / "certificate")
        tls = {"I2V_STUDIO_TLS_CERT_FILE": str(certificate), "I2V_STUDIO_TLS_KEY_FILE": str(key)}
        http_port = free_port()
        studio = start_studio(stack, data, orchestrator.address, http_port, tls)
        pages = Pages(f"https://localhost:{http_port}", certificate, orchestrator.key_file.read_text().strip())
        providers = [each for each in remote.programs if each.metrics_address and "provider" in each.name]
        targets = {
            # One process is API and worker; it is scraped as both, so that the rules of both see it.
            "i2v-api": [orchestrator.metrics_address],
            "i2v-provider": [each.metrics_address for each in providers],
            "i2v-studio": [studio.metrics_address],
            "triton": [triton.metrics_address],
        }
        address = stack.enter_context(prometheus(data / "prometheus", targets))
        for each in remote.programs:
            if "simulator" in each.name and "model" not in each.name:
                httpx.post(f"http://{each.address}/control/scenario", json=WRONG).raise_for_status()
        asyncio.run(load(orchestrator, pages, minutes * 60))
        note = f"python -m tools.monitored_run, {os.cpu_count()} cores, simulated vendors."
        print(*(f"no data: {each}" for each in draw_all(address, out, minutes, note, {})), sep="\n")


async def load(orchestrator: Orchestrator, pages: Pages, seconds: float) -> None:
    """Submits videos of several models, looks at them, also over HTTP, and makes some mistakes, for so long."""
    until = time.monotonic() + seconds
    async with (
        AsyncClient(orchestrator.address, orchestrator.key_file.read_text().strip(), USER) as client,
        AsyncClient(orchestrator.address, await admin_key(orchestrator)) as admin,
        receivers(admin),
    ):
        picture, large = (await client.upload(PICTURE)).name, (await client.upload(LARGE)).name
        chance = random.Random(7)

        async def repeat(pause_s: float, work: Callable[[], Coroutine[Any, Any, object]]) -> None:
            while time.monotonic() < until:
                with suppress(I2VError, TimeoutError):
                    await work()
                await asyncio.sleep(pause_s * chance.uniform(0.5, 1.5))

        async def local() -> None:
            spec = job_pb2.JobSpec(model="nano", quality=job_pb2.JobSpec.FAST, seed=chance.randrange(1000))
            spec.duration.seconds = 1
            spec.image_to_video.image, spec.image_to_video.prompt = picture, "the camera pans to the left"
            async for _ in client.watch((await client.submit(spec)).name):
                pass

        async def remote() -> None:
            model = chance.choice(["wavespeed-kandinsky-5-pro", "fal-wan-2.5"])
            spec = job_pb2.JobSpec(model=model)
            spec.image_to_video.image, spec.image_to_video.prompt = large, "it looks up"
            await client.submit(spec)

        async def stop() -> None:
            spec = job_pb2.JobSpec(model="nano")
            spec.text_to_video.prompt = "a wave"
            name = (await client.submit(spec)).name
            async for event in client.watch(name):
                if event.WhichOneof("event") == "started":
                    await client.cancel(name)

        async def mistake() -> None:
            await client.get("jobs/" + "0" * 32)

        async def hurry() -> None:
            spec = job_pb2.JobSpec(model="nano")
            spec.text_to_video.prompt = "a wave"
            spec.timeout.seconds = 1
            await client.submit(spec)

        async def strange() -> None:
            async with AsyncClient(orchestrator.address, "no-key-of-ours", "eve", retry_for_s=0) as stranger:
                await stranger.usage()

        async def poor() -> None:
            async with AsyncClient(orchestrator.address, orchestrator.key_file.read_text().strip(), "bob") as other:
                spec = job_pb2.JobSpec(model="nano", quality=job_pb2.JobSpec.FAST)
                spec.text_to_video.prompt = "a wave"
                spec.duration.seconds = 1
                await other.submit(spec)

        async def look() -> None:
            async for _ in client.jobs():
                break
            await client.usage()

        await limit(orchestrator)
        usual = ((1.0, local), (1.0, local), (8.0, remote), (1.0, look))
        over_http = ((2.0, pages.look), (3.0, pages.watch))
        works = (*usual, *over_http, (15.0, stop), (5.0, mistake), (12.0, hurry), (7.0, strange), (6.0, poor))
        await asyncio.gather(*(repeat(pause_s, work) for pause_s, work in works))


async def admin_key(orchestrator: Orchestrator) -> str:
    """Lets an operator make a key for an admin of the tenant, and returns it."""
    async with AsyncClient(orchestrator.address, orchestrator.operator_key_file.read_text().strip(), "eve") as operator:
        request = key_pb2.CreateKeyRequest(
            tenant=TENANT, display_name="admin", scopes=[key_pb2.Key.TENANT_ADMIN], reason=REASON
        )
        stub: Any = key_pb2_grpc.KeyServiceStub(operator.channel())
        return str((await operator.call(stub.CreateKey, request)).key_text)


async def limit(orchestrator: Orchestrator) -> None:
    """Lets an operator give a user a limit that will soon be reached."""
    async with AsyncClient(orchestrator.address, orchestrator.operator_key_file.read_text().strip(), "eve") as operator:
        request = limit_pb2.SetLimitRequest(tenant=TENANT, user="bob", limit="user jobs day", most=5, reason=REASON)
        stub: Any = limit_pb2_grpc.LimitServiceStub(operator.channel())
        await operator.call(stub.SetLimit, request)


def main() -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.monitored_run", description=__doc__)
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--out", type=Path, default=Path("docs/dashboards"))
    given = parser.parse_args()
    run(given.minutes, given.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
