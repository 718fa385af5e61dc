"""The cost of our path with remote models and a simulated vendor: memory, added time, and downloads."""

import asyncio
import json
import os
import statistics
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from i2v.v1 import job_pb2
from PIL import Image

from i2v_client import AsyncClient
from tools.bench_service import MIB, Memory, Row
from tools.stack import Orchestrator
from tools.stack_process import HOST, StackProcess, free_port
from tools.stack_vendors import without_keys

JOBS = 1000
WORK_S = 240.0
"""So long the vendor works on each of them: all are accepted before the first has ended."""
ROUNDS = 20
OWN_S = 1.0
"""So long it works where what is added is measured."""
PADDING_BYTES = 64 * MIB
DOWNLOADS = 5
GIGABIT_BYTES_S = 125_000_000
"""What a line of 1 Gbit/s brings."""
PLAN = """[plans.development]
display_name = "Without limits"
"""
MODEL = "wavespeed-kandinsky-5-pro"


@dataclass(frozen=True)
class Parts:
    """What is measured."""

    simulator: StackProcess
    provider: StackProcess
    orchestrator: Orchestrator

    def play(self, **scenario: Any) -> None:
        """Tells the vendor what to do with the tasks that come now."""
        url = f"http://{self.simulator.address}/control/scenario"
        request = urllib.request.Request(url, json.dumps(scenario).encode(), method="POST")
        urllib.request.urlopen(request, timeout=10).close()

    def counts(self) -> dict[str, int]:
        """Returns the number of requests to the vendor of each kind."""
        with urllib.request.urlopen(f"http://{self.simulator.address}/control/counts", timeout=30) as answer:
            found: dict[str, int] = json.load(answer)
            return found

    def client(self) -> AsyncClient:
        """Returns a client of the tenant that there is."""
        return AsyncClient(self.orchestrator.address, self.orchestrator.key_file.read_text().strip(), retry_for_s=120)


def measure(jobs: int = JOBS) -> Iterator[Row]:
    """Yields every row."""
    with tempfile.TemporaryDirectory(prefix="i2v-bench-") as folder, ExitStack() as stack:
        parts = _started(stack, Path(folder))
        yield _added(asyncio.run(_single(parts)))
        yield asyncio.run(_downloads(parts, "over a line of 1 Gbit/s", GIGABIT_BYTES_S))
        yield asyncio.run(_downloads(parts, "as fast as one machine can send it to itself", 0))
    with tempfile.TemporaryDirectory(prefix="i2v-bench-") as folder, ExitStack() as stack:
        yield from asyncio.run(_in_flight(_started(stack, Path(folder)), jobs))


def _started(stack: ExitStack, data: Path) -> Parts:
    (data / "plans.toml").write_text(PLAN)
    Image.new("RGB", (640, 480), "teal").save(data / "picture.png")
    port = free_port()
    simulator = StackProcess(
        "the simulator",
        "tools.simulators.wavespeed",
        *("--port", str(port)),
        log=data / "simulator.log",
        ports={"simulator's": port},
        environment=without_keys(),
        speaks_grpc=False,
    )
    stack.enter_context(simulator)
    port, metrics, hook = free_port(), free_port(), free_port()
    settings = {
        "LISTEN": f"{HOST}:{port}",
        "METRICS_LISTEN": f"{HOST}:{metrics}",
        "KEY": "a-key-that-opens-nothing",
        "URL": f"http://{simulator.address}",
        "SIMULATION": "true",
        "OUTPUT_HOSTS": simulator.address,
        "DATA": str(data / "wavespeed"),
        "WEBHOOK_LISTEN": f"{HOST}:{hook}",
        "WEBHOOK_URL": f"http://{HOST}:{hook}/",
    }
    provider = StackProcess(
        "the provider",
        "services.providers",
        "wavespeed",
        log=data / "provider.log",
        ports={"provider's": port, "metrics": metrics},
        environment=without_keys() | {f"I2V_PROVIDER_WAVESPEED_{name}": value for name, value in settings.items()},
    )
    stack.enter_context(provider)
    # Without the mark: encoding a thousand videos again would measure the encoder.
    more = {
        "I2V_PROVIDERS": f"wavespeed={provider.address}",
        "I2V_PLANS_FILE": str(data / "plans.toml"),
        "I2V_PIXEL_MARK": "false",
    }
    orchestrator = Orchestrator(data, "", port=free_port(), metrics_port=free_port(), more=more)
    return Parts(simulator, provider, stack.enter_context(orchestrator))


async def _spec(parts: Parts, client: AsyncClient) -> job_pb2.JobSpec:
    picture = await client.upload(parts.orchestrator.key_file.parent / "picture.png")
    moves = job_pb2.ImageToVideo(image=picture.name, prompt="the sea moves")
    return job_pb2.JobSpec(model=MODEL, resolution="512p", image_to_video=moves)


@dataclass(frozen=True)
class Course:
    """One job as its caller sees it, in seconds after its submission."""

    download_s: float
    """When the download began."""
    whole_s: float
    asset: str


async def _course(client: AsyncClient, spec: job_pb2.JobSpec) -> Course:
    began = time.perf_counter()
    job = await client.submit(spec)
    download_s = 0.0
    async for event in client.watch(job.name):
        if event.WhichOneof("event") == "progressed" and event.progressed.stage == "download":
            download_s = download_s or time.perf_counter() - began
    whole_s = time.perf_counter() - began
    ended = await client.get(job.name)
    assert ended.state == job_pb2.Job.SUCCEEDED, ended.error
    return Course(download_s, whole_s, ended.output.asset)


async def _single(parts: Parts) -> list[Course]:
    parts.play(work_s=OWN_S)
    async with parts.client() as client:
        spec = await _spec(parts, client)
        await _course(client, spec)  # the first makes connections, and the simulator its video
        return [await _course(client, spec) for _ in range(ROUNDS)]


def _added(courses: list[Course]) -> Row:
    """From the caller's submission to the vendor, and from the vendor's end to the begin of the download."""
    added = statistics.median(course.download_s - OWN_S for course in courses)
    rest = statistics.median(course.whole_s - course.download_s for course in courses)
    what = "Remote, with webhooks: what our path adds to the vendor's own time, without the download"
    text = f"{added * 1000:.0f} ms (download, probe and store: {rest * 1000:.0f} ms)"
    return Row(what, text, "≤ 100 ms", added <= 0.1)


async def _downloads(parts: Parts, how: str, bytes_s: int) -> Row:
    """The vendor's bytes through the provider into the worker's file, compared with the same bytes by httpx alone."""
    parts.play(padding_bytes=PADDING_BYTES, bytes_s=bytes_s)
    ours, bare = [], []
    async with parts.client() as client:
        spec = await _spec(parts, client)
        for _ in range(DOWNLOADS):  # in turn, so that a slow moment of the machine meets both
            course = await _course(client, spec)
            ours.append(PADDING_BYTES / MIB / (course.whole_s - course.download_s))
            bare.append(await _bare(parts))
    mine, theirs = statistics.median(ours), statistics.median(bare)
    what = f"Remote: video of {PADDING_BYTES // MIB} MiB from the vendor, {how}, hashed, probed and stored"
    text = f"{mine / theirs:.2f} of bare httpx ({mine:.0f} of {theirs:.0f} MiB/s)"
    return Row(what, text, "≥ 0.7", mine >= 0.7 * theirs)


async def _bare(parts: Parts) -> float:
    """Returns MiB a second of the last video, by httpx alone."""
    ref = f"task-{parts.counts()['submit']:08x}"
    began, size = time.perf_counter(), 0
    async with httpx.AsyncClient(trust_env=False) as client:
        url = f"http://{parts.simulator.address}/outputs/{ref}.mp4"
        async with client.stream("GET", url) as answer:
            async for chunk in answer.aiter_raw():
                size += len(chunk)
    return size / MIB / (time.perf_counter() - began)


def _processor_s(pid: int) -> float:
    """Returns how many seconds of processor time a process and those that it has started have taken, PostgreSQL too."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK") + sum(_processor_s(int(child)) for child in children)


def _effort(parts: Parts) -> dict[str, float]:
    """Returns who has taken how much processor time: what is measured, and what measures."""
    programs = (parts.orchestrator, parts.provider, parts.simulator)
    return {each.name: _processor_s(each.pid) for each in programs} | {"this client": time.process_time()}


async def _accepted(client: AsyncClient, name: str) -> None:
    """Waits until the vendor has a job's task."""
    async for event in client.watch(name):
        if event.WhichOneof("event") == "accepted":
            return


async def _in_flight(parts: Parts, jobs: int) -> Iterator[Row]:
    """All jobs at the vendor at the same time, in one process of the orchestrator, and then all their videos."""
    memory = {each.name: Memory(each.pid) for each in (parts.orchestrator, parts.provider)}
    took = _effort(parts)
    parts.play(work_s=WORK_S)
    before = parts.counts().get("submit", 0)  # a fresh simulator has counted nothing yet
    async with parts.client() as client:
        spec, began = await _spec(parts, client), time.perf_counter()
        names = [(await client.submit(spec)).name for _ in range(jobs)]
        for name in names:
            await _accepted(client, name)
        accepted_s = time.perf_counter() - began
        states = [(await client.get(name)).state for name in names]
        flying = sum(state == job_pb2.Job.RUNNING for state in states)
        held = {name: each.peak() for name, each in memory.items()}
        for name in names:
            async for _ in client.watch(name):
                pass
        made = sum([(await client.get(name)).state == job_pb2.Job.SUCCEEDED for name in names])
    after = {name: each.peak() for name, each in memory.items()}
    took = {name: now - took[name] for name, now in _effort(parts).items()}
    rows = []
    for moment, peaks in (("in flight", held), ("and their videos fetched", after)):
        text = ", ".join(f"{name} {peak // MIB} MiB" for name, peak in peaks.items())
        fits = peaks[parts.orchestrator.name] < 1000 * MIB
        rows.append(Row(f"Remote: {jobs} jobs {moment} in one worker, peak memory", text, "< 1 GB", fits))
    paid = parts.counts()["submit"] - before
    text = f"{flying} in flight after {accepted_s:.0f} s, {made} made, {paid} paid"
    rows.append(Row(f"Remote: of {jobs} jobs", text, f"{jobs} each", flying == made == paid == jobs))
    text = ", ".join(f"{name} {seconds / jobs * 1000:.0f} ms" for name, seconds in took.items())
    rows.append(Row(f"Remote: processor time of each of {jobs} jobs", text, "", True))
    return iter(rows)


if __name__ == "__main__":
    for row in measure():
        print(f"| {row.what} | {row.measured} | {row.wanted} | {'✓' if row.met else '✗'} |", flush=True)
