"""Real pods from manifests: a video through them, and no failure while they are killed and rolled."""

import asyncio
import time
from pathlib import Path

import av
import numpy as np
import pytest
from i2v.v1 import job_pb2

from i2v_client import AsyncClient, job_spec
from services.client.connection import RETRY_FOR_WITH_SEVERAL_S
from tests.support.container_stack import APIS, WORKERS, ContainerStack, Report

pytestmark = [pytest.mark.timeout(600)]

PICTURE = Path("tests/golden/cat.png")
SMALL = "test-model"
IDLE_BYTES = 600_000_000


def client(stack: ContainerStack) -> AsyncClient:
    return AsyncClient(",".join(stack.addresses), stack.key, retry_for_s=RETRY_FOR_WITH_SEVERAL_S)


def frames(file: Path) -> np.ndarray:
    with av.open(str(file)) as video:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)])


def test_an_idle_installation_is_small(stack: ContainerStack, report: Report) -> None:
    used = {pod: size for pod, size in stack.installation.memory_bytes().items() if "triton" not in pod}
    for pod, size in used.items():
        report(f"memory of the idle pod `{pod}`", f"{size / 1e6:.0f} MB", "")
    ours = {pod: size for pod, size in used.items() if pod.startswith("i2v-")}
    one_of_each = sum(size for pod, size in ours.items() if pod.endswith("-0"))
    report("memory of one idle process of each kind", f"{one_of_each / 1e6:.0f} MB", "≤ 600 MB")
    report("memory with two APIs and two workers", f"{sum(ours.values()) / 1e6:.0f} MB", "≤ 600 MB")
    assert one_of_each <= IDLE_BYTES


async def test_a_picture_becomes_a_video(stack: ContainerStack, tmp_path: Path) -> None:
    out = tmp_path / "cat.mp4"
    seen: list[str] = []
    async with client(stack) as i2v:
        job = await i2v.generate(
            PICTURE, "the cat looks up", duration_s=1, out=out, on_event=lambda event: seen.append(_kind(event))
        )
    assert job.state == job_pb2.Job.SUCCEEDED, job
    assert seen[0] == "admitted" and "fragment_ready" in seen and seen[-1] == "succeeded"
    shown = frames(out)
    assert len(shown) == job.output.frames
    assert shown.std() > 10, "it is one grey picture"
    assert np.abs(np.diff(shown.astype(float), axis=0)).mean() > 0.1, "nothing moves"


async def test_a_job_goes_on_after_its_worker_was_killed(stack: ContainerStack, tmp_path: Path, report: Report) -> None:
    installation = stack.installation
    async with client(stack) as i2v:
        picture = await i2v.upload(PICTURE)
        job = await i2v.submit(job_spec("the cat looks up", image=picture.name, model="nano", duration_s=5))
        attempts, killed, began = 0, "", 0.0
        async for event in i2v.watch(job.name):
            if _kind(event) == "started":
                attempts += 1
                if killed:
                    report("a job whose worker was killed runs again after", f"{time.monotonic() - began:.1f} s", "")
            if _kind(event) == "fragment_ready" and not killed:
                killed = await asyncio.to_thread(_worker_of, stack, job.name)
                began = time.monotonic()
                await asyncio.to_thread(installation.kill, killed)
                await asyncio.to_thread(installation.start, killed)
        assert killed and attempts == 2
        job = await i2v.get(job.name)
        assert job.state == job_pb2.Job.SUCCEEDED, job
        out = tmp_path / "cat.mp4"
        await i2v.download(job.output.asset, out)
        assert len(frames(out)) == job.output.frames
    await asyncio.to_thread(installation.wait, killed)


async def test_nothing_fails_while_apis_and_workers_are_rolled(stack: ContainerStack, report: Report) -> None:
    installation, over = stack.installation, asyncio.Event()
    made: list[str] = []
    progress = asyncio.Condition()

    async def make(i2v: AsyncClient) -> None:
        while not over.is_set():
            job = await i2v.submit(job_spec("A wave.", model=SMALL))
            numbers = [event.sequence async for event in i2v.watch(job.name)]
            job = await i2v.get(job.name)
            assert job.state == job_pb2.Job.SUCCEEDED, job
            assert numbers == list(range(1, job.last_sequence + 1)), job
            made.append(job.name)
            async with progress:
                progress.notify_all()

    async def roll() -> None:
        for workload in (APIS, WORKERS):
            for pod in installation.names(workload):
                done = len(made)
                await asyncio.to_thread(installation.stop, pod)
                await asyncio.to_thread(installation.start, pod)
                await asyncio.to_thread(installation.wait, pod)
                async with progress:
                    await progress.wait_for(lambda least=done + 5: len(made) >= least)
        over.set()

    async with client(stack) as i2v, asyncio.TaskGroup() as group:
        for _ in range(8):
            group.create_task(make(i2v))
        group.create_task(roll())
    report("jobs made while every API and worker was replaced, none failed", str(len(made)), "")
    assert len(set(made)) == len(made) >= 20
    assert "Every counter is the sum of what it counts." in stack.admin("audit")


def _kind(event: job_pb2.JobEvent) -> str:
    return str(event.WhichOneof("event"))


def _worker_of(stack: ContainerStack, job: str) -> str:
    """The pod whose worker runs a job."""
    shown = stack.admin("jobs", "show", job)
    return next(pod for pod in stack.installation.names(WORKERS) if pod in shown)
