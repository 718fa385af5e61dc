"""A real Prometheus watches faults of the parts of a running installation: each has its own alerts, and no others."""

import asyncio
import signal
import uuid
from collections.abc import Coroutine
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import grpc
import pytest
from i2v.v1 import job_pb2, job_pb2_grpc

from services.orchestrator.store.postgres_store import PostgresStore
from tests.support.prometheus_process import OF_THE_MACHINE, Prometheus, prometheus
from tests.support.promtool import needs_prometheus
from tests.support.provider_and_simulator import PICTURE, generate, process
from tests.support.scripted_triton import ScriptedTriton, serving
from tests.support.served_orchestrator import GOLDEN, caller, text_spec
from tests.support.worker_processes import fake_models, worker
from tools.simulators.wavespeed import WaveSpeedSimulator
from tools.stack_process import free_port


@needs_prometheus
@pytest.mark.timeout(400)
async def test_each_fault_of_a_part_has_its_own_alerts(store: PostgresStore, database: str, tmp_path: Path) -> None:
    fake_models(tmp_path)
    for folder in ("prometheus", "provider"):
        (tmp_path / folder).mkdir()
    ports = {"i2v-api": [free_port()], "i2v-worker": [free_port(), free_port()], "i2v-provider": [free_port()]}
    metrics = {job: [f"127.0.0.1:{port}" for port in each] for job, each in ports.items()}
    plans = tmp_path / "plans.toml"
    plans.write_text((GOLDEN / "plans.toml").read_text().replace("00_000 }", "00_000_000 }"))
    address = f"127.0.0.1:{free_port()}"
    async with AsyncExitStack() as stack:
        of_triton = await stack.enter_async_context(AsyncExitStack())
        triton = await of_triton.enter_async_context(serving(ScriptedTriton()))
        shared = {
            "I2V_SILENT_S": "3",
            "I2V_TRITON": triton,
            "I2V_PLANS_FILE": str(plans),
            "I2V_FAKE_PAUSE_S": "2",
        }

        def start(name: str, metrics_listen: str, **settings: str) -> Any:
            settings |= shared | {"I2V_METRICS_LISTEN": metrics_listen}
            return stack.enter_context(worker(database, tmp_path, name, **settings))

        start("api", *metrics["i2v-api"], role="api", I2V_LISTEN=address)
        _, doomed = (start(f"worker-{number}", metrics["i2v-worker"][number]) for number in range(2))
        watching = await stack.enter_async_context(prometheus(tmp_path / "prometheus", ports))
        channel = await stack.enter_async_context(grpc.aio.insecure_channel(address))
        jobs: Any = job_pb2_grpc.JobServiceStub(channel)  # type: ignore[no-untyped-call]

        async with WaveSpeedSimulator(fps=4).running() as vendor:
            options = {"METRICS_LISTEN": metrics["i2v-provider"][0], "BREAKER_S": "10"}
            _, provider = await stack.enter_async_context(process(vendor, tmp_path / "provider", **options))
            await watching.finds('i2v_workers{state="alive"} == 2')
            assert await watching.becomes(set()) <= {"ProcessDown", "LedgerNotAudited"}, "while they start"

        # It takes half a minute until a worker counts as silent: the other faults come meanwhile.
        doomed.send_signal(signal.SIGKILL)
        killed = {"ProcessDown", "WorkerSilent"}

        # The vendor is away.
        fired = await during(ask(provider), watching, "VendorBroken")

        # Triton stops, and is there again.
        await of_triton.aclose()
        fired |= await watching.becomes({"BackendDown"})
        await stack.enter_async_context(serving(ScriptedTriton(), triton))
        fired |= await watching.becomes(killed)
        assert fired == {"VendorBroken", "BackendDown"} | killed

        # The worker is there again; more jobs come than both can make.
        start("worker-1", metrics["i2v-worker"][1])
        submitted: list[str] = []
        of_many = {"BacklogGrows"} | OF_THE_MACHINE
        assert await during(submit(jobs, submitted), watching, "BacklogGrows") <= fired | of_many
        cancels = (jobs.CancelJob(job_pb2.CancelJobRequest(name=name), metadata=caller()) for name in submitted)
        await asyncio.gather(*cancels)
        assert await watching.becomes(set()) <= fired | of_many


async def during(work: Coroutine[Any, Any, None], watching: Prometheus, alert: str) -> set[str]:
    """Returns all alerts that fired until this one did, during some work that goes on."""
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(work)
        fired = await watching.becomes({alert})
        running.cancel()
    return fired


async def ask(provider: Any) -> None:
    """Asks a provider for one video after the other."""
    while True:
        with suppress(grpc.aio.AioRpcError):
            async for _ in generate(provider, str(uuid.uuid4()), PICTURE):
                pass
        await asyncio.sleep(0.2)


async def submit(jobs: Any, submitted: list[str]) -> None:
    """Submits twenty jobs a second."""
    while True:
        request = job_pb2.SubmitJobRequest(request_id=str(uuid.uuid4()), spec=text_spec(seed=1))
        submitted.append((await jobs.SubmitJob(request, metadata=caller())).name)
        await asyncio.sleep(0.05)
