"""Where the time of one small video goes: the stages between its events, as its caller sees them.

`python -m tools.bench_trace` prints the table of docs/performance.md: medians over several videos, of nano by default.
"""

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from i2v.v1 import job_pb2

from tools.stack import PICTURE, PROMPT, Orchestrator
from tools.stack_process import free_port
from tools.tritonserver import TritonServer

VIDEOS = 15
STAGES = {
    "admitted": "submit: call, checks, booking",
    "started": "queue: wake, claim, Started",
    "encode-inputs": "begin: picture, workdir",
    "generate": "encoders",
    "first fragment": "models to the first fragment",
    "last fragment": "models to the last fragment, stored and announced",
    "succeeded": "end: whole file, probe, store, settle",
    "seen": "notify: to the caller",
}
"""The moment before each moment."""


@dataclass(frozen=True)
class Moments:
    """When each moment of one video was, in seconds after its submission."""

    at: dict[str, float]

    def spans(self) -> dict[str, float]:
        """Seconds between each moment and the one before."""
        known = [0.0, *(self.at[name] for name in STAGES)]
        return {name: later - earlier for name, (earlier, later) in zip(STAGES, pairwise(known), strict=True)}


def moments(submitted_s: float, seen_s: float, events: Iterable[job_pb2.JobEvent]) -> Moments:
    """Returns the moments of a video from its events and the two times that only its caller has (UNIX seconds)."""
    at: dict[str, float] = {}
    for event in events:
        time_s = event.create_time.ToNanoseconds() / 1e9 - submitted_s
        kind = event.WhichOneof("event") or ""
        if kind == "fragment_ready":
            at.setdefault("first fragment", time_s)
            at["last fragment"] = time_s
        elif kind == "progressed":
            at.setdefault(event.progressed.stage, time_s)
        else:
            at.setdefault(kind, time_s)
    return Moments(at | {"seen": seen_s - submitted_s})


def table(videos: Sequence[Moments]) -> Iterator[str]:
    """Yields the lines of the table."""
    yield "| stage | median, ms | longest, ms |\n|---|---|---|"
    spans = [video.spans() for video in videos]
    for name, what in STAGES.items():
        taken = [1000 * each[name] for each in spans]
        yield f"| {what} | {statistics.median(taken):.1f} | {max(taken):.1f} |"
    whole = [1000 * video.at["seen"] for video in videos]
    yield f"| whole | {statistics.median(whole):.0f} | {max(whole):.0f} |"


async def video(address: str, key: str) -> Moments:
    """Makes one video. Raises RuntimeError when it fails."""
    from i2v_client import AsyncClient, job_spec

    async with AsyncClient(address, key) as client:
        picture = await client.upload(PICTURE)
        spec = job_spec(PROMPT, image=picture.name, duration_s=5, seed=1)
        submitted = time.time()
        job = await client.submit(spec)
        events = [event async for event in client.watch(job.name)]
        seen = time.time()
    if events[-1].WhichOneof("event") != "succeeded":
        raise RuntimeError(f"the video was not made: {events[-1]}")
    return moments(submitted, seen, events)


def main() -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench_trace", description=__doc__)
    parser.add_argument("--videos", type=int, default=VIDEOS)
    count = parser.parse_args().videos
    with tempfile.TemporaryDirectory(prefix="i2v-bench-") as folder, ExitStack() as stack:
        triton = stack.enter_context(TritonServer(state=Path(folder) / "triton"))
        server = stack.enter_context(
            Orchestrator(Path(folder), triton.grpc_address, port=free_port(), metrics_port=free_port())
        )
        key = server.key_file.read_text().strip()
        asyncio.run(video(server.address, key))
        print("\n".join(table([asyncio.run(video(server.address, key)) for _ in range(count)])))
    return 0


if __name__ == "__main__":
    sys.exit(main())
