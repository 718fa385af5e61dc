"""Kill -9 in the middle of a video: the rest is made, the rest alone, and the bytes are as if nothing had happened."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
from i2v.v1 import job_pb2

from services.errors import Unavailable
from services.orchestrator.backends.triton_backend import TritonBackend
from services.orchestrator.pace import Pace
from services.orchestrator.role import Role
from tests.support.served_orchestrator import Served, image_spec, served
from tests.support.triton_wire import metrics
from tests.support.worker_processes import worker
from tools.tritonserver import TritonServer, free_ports

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

CAT = Path("tests/golden/cat.png").read_bytes()
QUICK = Pace(longest_retry_s=1.0)
MODELS = Path("deploy/config/models.toml")
BLOCKS = 10
"""Of a video of five seconds, two latent frames each; from a text there is one more, of frame 0 alone."""


KILLS = 4
"""How often a model's process is killed at most, until its server outlives it."""


def nano(values: dict[str, object]) -> None:
    values["models_file"] = MODELS


@pytest.fixture
async def api(database: str, tmp_path: Path) -> AsyncIterator[Served]:
    (tmp_path / "models.toml").write_text(MODELS.read_text())
    async with served(database, tmp_path, {}, role=Role.API, change=nano) as running:
        yield running
        assert await running.app.store.counter_audits.full(limit=9) == []


def a_spec(image: str, seed: int = 7) -> job_pb2.JobSpec:
    if image:
        return image_spec(image, "the cat looks up", model="nano", seed=seed)
    return job_pb2.JobSpec(model="nano", text_to_video=job_pb2.TextToVideo(prompt="waves"), seed=seed)


def blocks_made(triton: TritonServer) -> int:
    return int(metrics(triton.metrics_address)["i2v_transformer_blocks_total"])


async def third_fragment(i2v: Served, name: str) -> None:
    async for event in i2v.watch(name):
        if event.WhichOneof("event") == "fragment_ready" and event.fragment_ready.index == 2:
            return
    raise AssertionError(f"{name} ended early")


async def continued_and_told_once(i2v: Served, name: str) -> int:
    """The block from which the job went on; its fragments were announced once each."""
    events = [event async for event in i2v.watch(name)]
    (block,) = [event.continued.block for event in events if event.WhichOneof("event") == "continued"]
    indices = [event.fragment_ready.index for event in events if event.WhichOneof("event") == "fragment_ready"]
    assert indices == list(range(len(indices)))
    return block


@pytest.mark.parametrize("kind", ["image", "text"])
async def test_a_killed_workers_video_is_finished_from_its_last_block(
    api: Served, database: str, tmp_path: Path, triton: TritonServer, kind: str
) -> None:
    spec = a_spec((await api.upload(CAT)).name if kind == "image" else "")
    blocks = BLOCKS + (kind == "text")
    setting = {"I2V_FAKE_SLOTS": "0", "I2V_TRITON": triton.grpc_address, "I2V_TRITON_SLOTS": "1"}
    job = await api.submit(spec)
    with worker(database, tmp_path, **setting) as process:
        await third_fragment(api, job.name)
        process.send_signal(signal.SIGKILL)
        process.wait()
    # Triton makes at most one more forward once its caller is gone, so no block after this.
    with worker(database, tmp_path, **setting):
        await api.until(job.name, "continued")
        before = blocks_made(triton)
        ended = await api.ended(job.name)
        assert ended.state == job_pb2.Job.SUCCEEDED, ended
        made = blocks_made(triton) - before
        undisturbed = await api.ended((await api.submit(spec)).name)
        assert blocks_made(triton) - before - made == blocks
    block = await continued_and_told_once(api, job.name)
    assert block >= 2 and made <= blocks - block
    assert (ended.attempt, undisturbed.attempt) == (2, 1)
    assert await api.unsigned(ended) == await api.unsigned(undisturbed)
    assert ended.charged == ended.quote


async def test_a_triton_that_was_killed_costs_no_block_that_was_finished(
    database: str, tmp_path: Path, triton: TritonServer
) -> None:
    port = free_ports()["grpc"]
    backend = TritonBackend(f"127.0.0.1:{port}")
    async with served(database, tmp_path, {"triton": (backend, 1)}, change=nano, pace=QUICK) as i2v:
        spec = a_spec((await i2v.upload(CAT)).name)
        with TritonServer(triton.repository, state=tmp_path / "triton", grpc_port=port):
            job = await i2v.submit(spec)
            await third_fragment(i2v, job.name)
        await i2v.until(job.name, "retrying")
        with TritonServer(triton.repository, state=tmp_path / "triton", grpc_port=port) as again:
            ended = await i2v.ended(job.name)
            made = blocks_made(again)
            undisturbed = await i2v.ended((await i2v.submit(spec)).name)
        assert await i2v.unsigned(ended) == await i2v.unsigned(undisturbed)
        events = [event async for event in i2v.watch(job.name)]
        assert await i2v.app.store.counter_audits.full(limit=9) == []
    await backend.close()
    assert ended.state == job_pb2.Job.SUCCEEDED
    block = max(event.continued.block for event in events if event.WhichOneof("event") == "continued")
    assert block >= 2 and made == BLOCKS - block


async def test_a_video_whose_transformer_died_waits_for_a_restart_and_goes_on(
    database: str, tmp_path: Path, triton: TritonServer
) -> None:
    port = free_ports()["grpc"]
    backend = TritonBackend(f"127.0.0.1:{port}", probe_after_s=1)
    async with served(database, tmp_path, {"triton": (backend, 1)}, change=nano, pace=QUICK) as i2v:
        spec = a_spec((await i2v.upload(CAT)).name)
        for _ in range(KILLS):
            with TritonServer(triton.repository, state=tmp_path / "triton", grpc_port=port) as dying:
                job = await i2v.submit(spec)
                # Fragments come later: by then it may have made all.
                while blocks_made(dying) < 3:  # noqa: ASYNC110 - another process makes them
                    await asyncio.sleep(0.02)
                # By now it computes. While it reports a block it holds a lock, and the server dies with it.
                await asyncio.sleep(0.03)
                os.kill(stub_of(dying, "transformer"), signal.SIGKILL)
                await i2v.until(job.name, "retrying")
                with pytest.raises(Unavailable) as trouble:
                    await backend.check()
                if "has died" in trouble.value.message:
                    break
            await i2v.cancel(job.name)
        else:
            raise AssertionError(f"the server died with its model {KILLS} times: {trouble.value}")
        with TritonServer(triton.repository, state=tmp_path / "triton", grpc_port=port) as again:
            ended = await i2v.ended(job.name)
            made = blocks_made(again)
            undisturbed = await i2v.ended((await i2v.submit(spec)).name)
        assert await i2v.unsigned(ended) == await i2v.unsigned(undisturbed)
        events = [event async for event in i2v.watch(job.name)]
        assert await i2v.app.store.counter_audits.full(limit=9) == []
    await backend.close()
    assert ended.state == job_pb2.Job.SUCCEEDED
    block = max(event.continued.block for event in events if event.WhichOneof("event") == "continued")
    assert block >= 1 and made == BLOCKS - block


def stub_of(server: TritonServer, model: str) -> int:
    """The process in which a Triton of ours runs a model; its memory's name, which the log's has too, tells whose."""
    whose = server.log.stem.rpartition("-")[2].encode()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (process / "cmdline").read_bytes().split(b"\0")
            stub = words[0].endswith(b"triton_python_backend_stub")
            if stub and f"/{model}/".encode() in words[1] and whose in words[2]:
                return int(process.name)
    raise AssertionError(f"{model} has no process")
