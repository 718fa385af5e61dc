"""What `i2v batch` costs over the same jobs in a loop of the client: `python -m tools.bench_batch`; about a minute.

A server in another process answers at once; its jobs last as long as `--job-seconds` says, and their videos are small.
The loop submits, watches, reads the job and downloads its video, as many at a time as the batch; it is the floor. Both
are measured in turn. Then the same with jobs that take no time at all, which shows what a video costs on its own.
"""

import argparse
import asyncio
import hashlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.message import Message
from i2v.v1 import asset_pb2, job_pb2, usage_pb2

from i2v_client import AsyncClient, job_spec
from services.client.batch.batch_folder import BatchFolder
from services.client.batch.job_options import JobOptions
from services.client.batch.plan import Naming
from services.client.batch.sources import Source
from services.client.batch.work import Batch
from services.client.exit_codes import ExitCode

VIDEO = bytes(range(256)) * 400
OUTPUT = job_pb2.VideoOutput(asset=f"assets/{hashlib.sha256(VIDEO).hexdigest()}", size_bytes=len(VIDEO))
MOST_PERCENT = 5.0


class Server:
    """Makes every video by waiting."""

    def __init__(self, job_seconds: float) -> None:
        self._job_seconds = job_seconds

    async def submit(self, request: job_pb2.SubmitJobRequest, context: Any) -> job_pb2.Job:
        """Returns a job that has the request_id in its name."""
        return job_pb2.Job(name=f"jobs/{request.request_id}", request_id=request.request_id)

    async def watch(self, request: job_pb2.WatchJobRequest, context: Any) -> AsyncIterator[Any]:
        """Ends the job after its time."""
        if self._job_seconds:
            await asyncio.sleep(self._job_seconds)
        succeeded = job_pb2.JobEvent(sequence=1, succeeded=job_pb2.Succeeded(output=OUTPUT))
        yield job_pb2.WatchJobResponse(event=succeeded)

    async def get(self, request: job_pb2.GetJobRequest, context: Any) -> job_pb2.Job:
        """Returns the ended job."""
        return job_pb2.Job(
            name=request.name,
            request_id=request.name.removeprefix("jobs/"),
            state=job_pb2.Job.SUCCEEDED,
            output=OUTPUT,
            charged=job_pb2.Money(amount_micros=1000, currency_code="USD"),
        )

    async def read(self, request: asset_pb2.ReadAssetRequest, context: Any) -> AsyncIterator[Any]:
        """Returns the video."""
        yield asset_pb2.ReadAssetResponse(data=VIDEO)

    async def usage(self, request: usage_pb2.GetUsageRequest, context: Any) -> usage_pb2.Usage:
        """Returns no limits."""
        return usage_pb2.Usage()


def bytes_of(message: Message) -> bytes:
    """Returns the wire form of a message."""
    return message.SerializeToString()


async def serve(job_seconds: float) -> None:
    """Serves until it is ended, and prints its port."""
    server, servicer = grpc.aio.server(), Server(job_seconds)
    unary, stream = grpc.unary_unary_rpc_method_handler, grpc.unary_stream_rpc_method_handler
    submit, get = job_pb2.SubmitJobRequest.FromString, job_pb2.GetJobRequest.FromString
    jobs: dict[str, Any] = {
        "SubmitJob": unary(servicer.submit, submit, bytes_of),
        "GetJob": unary(servicer.get, get, bytes_of),
        "WatchJob": stream(servicer.watch, job_pb2.WatchJobRequest.FromString, bytes_of),
    }
    assets: dict[str, Any] = {"ReadAsset": stream(servicer.read, asset_pb2.ReadAssetRequest.FromString, bytes_of)}
    usage: dict[str, Any] = {"GetUsage": unary(servicer.usage, usage_pb2.GetUsageRequest.FromString, bytes_of)}
    for name, methods in (("JobService", jobs), ("AssetService", assets), ("UsageService", usage)):
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(f"i2v.v1.{name}", methods),))
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    await server.start()
    await server.wait_for_termination()


async def loop(address: str, jobs: int, at_once: int, folder: Path) -> None:
    """Makes the videos by a loop of the client."""
    free = asyncio.Semaphore(at_once)
    async with AsyncClient(address, "key") as client:

        async def one(number: int) -> None:
            async with free:
                job = await client.submit(job_spec(f"wave {number}", seed=0))
                async for _ in client.watch(job.name):
                    pass
                job = await client.get(job.name)
                await client.download(job.output.asset, folder / f"wave {number}.mp4")

        await asyncio.gather(*map(one, range(jobs)))


async def batch(address: str, jobs: int, at_once: int, folder: Path) -> None:
    """Makes the videos by the command's work."""
    prompts, options = folder / "prompts.txt", JobOptions()
    prompts.write_text("\n".join(f"wave {number}" for number in range(jobs)))
    work = Batch(
        source=Source(prompts),
        folder=BatchFolder(folder / "videos"),
        naming=Naming(samples=1, seed=0, with_index=False, options=options.text()),
        options=options,
        at_once=at_once,
        accept_changes=False,
        server=address,
        user="default",
        json=False,
        patient=lambda: AsyncClient(address, "key"),
    )
    async with AsyncClient(address, "key") as client:
        assert await work.make(client) is ExitCode.OK


def measured(job_seconds: float, jobs: int, at_once: int, rounds: int) -> tuple[float, float, float, float]:
    """Returns the medians of the loop's and the batch's seconds, and of their seconds of processor time."""
    program = [sys.executable, "-m", "tools.bench_batch", "--serve", str(job_seconds)]
    server = subprocess.Popen(program, stdout=subprocess.PIPE)
    found: list[tuple[float, float, float, float]] = []
    try:
        assert server.stdout is not None
        address = f"127.0.0.1:{int(server.stdout.readline())}"
        for _ in range(rounds):
            row: list[float] = []
            for make in (loop, batch):
                with tempfile.TemporaryDirectory(prefix="i2v-bench-") as folder:
                    began, busy = time.perf_counter(), time.process_time()
                    asyncio.run(make(address, jobs, at_once, Path(folder)))
                    row += [time.perf_counter() - began, time.process_time() - busy]
            found.append((row[0], row[2], row[1], row[3]))
    finally:
        server.kill()
        server.wait()
    medians = [statistics.median(column) for column in zip(*found, strict=True)]
    return medians[0], medians[1], medians[2], medians[3]


def main() -> int:
    """Measures and prints. Returns 1 if the batch costs too much."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", type=float, help="only serve; for the measurement's own use")
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--at-once", type=int, default=32)
    parser.add_argument("--job-seconds", type=float, default=0.5)
    parser.add_argument("--rounds", type=int, default=2)
    given = parser.parse_args()
    if given.serve is not None:
        asyncio.run(serve(given.serve))
        return 0
    added = []
    for seconds in (given.job_seconds, 0.0):
        one, other, busy, other_busy = measured(seconds, given.jobs, given.at_once, given.rounds)
        added.append((other / one - 1) * 100)
        print(
            f"{given.jobs} jobs of {seconds} s, {given.at_once} at a time: batch {other:.2f} s, loop {one:.2f} s: "
            f"{added[-1]:+.1f} %; processor time {other_busy:.2f} s, {busy:.2f} s: "
            f"{(other_busy - busy) / given.jobs * 1e6:+.0f} µs a video"
        )
    return 0 if added[0] <= MOST_PERCENT else 1


if __name__ == "__main__":
    sys.exit(main())
