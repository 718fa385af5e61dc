"""The cost of many watchers: the delay of events and the time of jobs, with a few watchers and with a thousand.

`python -m tools.bench_watch ADDRESS KEY_FILE WATCHERS` is the client of one round, a process of its own: it submits ten
jobs, watches them, and prints what it saw as JSON.
"""

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from i2v.v1 import job_pb2, job_pb2_grpc

from tools.bench_service import Row
from tools.stack import Orchestrator
from tools.stack_process import free_port

JOBS = 10
FEW, MANY = JOBS, 1000
ROUNDS = 2
PAUSE_S = 0.4
STREAMS = 50
"""Watches on one connection."""
SETTLED = 10
"""Sequence number from which events count: by then every watcher has joined, and first-time costs are over."""
CARD = """
[models.watched]
display_name = "Watched"
description = "For the benchmark."
backend = "fake"
operations = ["text-to-video"]
sizes = ["64x32"]
durations_s = [16]
fps = 16
prompt_max_characters = 100
price_per_second_micros = 1
default_timeout_s = 300
"""


@dataclass(frozen=True)
class Round:
    """What the client of one round saw."""

    p50_ms: float
    """From an event's time to its arrival at a watcher; of the events that count."""
    p99_ms: float
    job_s: float
    """From a job's start to its end, median."""
    messages: int


def measure() -> Iterator[Row]:
    """Yields the rows; about a minute."""
    with tempfile.TemporaryDirectory(prefix="i2v-bench-") as folder, ExitStack() as stack:
        cards = Path(folder) / "models.toml"
        cards.write_text(CARD)
        more = {"I2V_FAKE_SLOTS": str(JOBS), "I2V_FAKE_PAUSE_S": str(PAUSE_S)}
        more |= {"I2V_MAX_CALLS": str(2 * MANY)}
        server = stack.enter_context(
            Orchestrator(
                Path(folder), "127.0.0.1:9", port=free_port(), metrics_port=free_port(), cards=cards, more=more
            )
        )
        few, many = [], []
        client(server, FEW)
        for _ in range(ROUNDS):  # in turn, so that a slow moment of the machine meets both
            few.append(client(server, FEW))
            many.append(client(server, MANY))
    yield from rows(few, many)


def rows(few: list[Round], many: list[Round]) -> Iterator[Row]:
    """Yields the rows that compare rounds with few and with many watchers."""
    late, base = (statistics.median(each.p99_ms for each in rounds) for rounds in (many, few))
    middle = statistics.median(each.p50_ms for each in many)
    yield Row(
        f"Events of {JOBS} running jobs reach {MANY} watchers: 99th percentile compared with {FEW} watchers",
        f"{late / base:.1f} times ({late:.0f} ms, {base:.0f} ms; median {middle:.0f} ms)",
        "≤ 3",
        late <= 3 * base,
    )
    long, short = (statistics.median(each.job_s for each in rounds) for rounds in (many, few))
    yield Row(
        f"{JOBS} jobs with {MANY} watchers compared with {FEW}",
        f"{long / short - 1:+.1%} ({long:.2f} s, {short:.2f} s)",
        "≤ +10 %",
        long <= 1.1 * short,
    )


def client(server: Orchestrator, watchers: int) -> Round:
    """Runs the client of one round."""
    command = [sys.executable, "-m", "tools.bench_watch", server.address, str(server.key_file), str(watchers)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode:
        raise RuntimeError(f"the client of the watchers' row failed:\n{done.stderr}")
    return Round(**json.loads(done.stdout))


async def _round(address: str, key: str, watchers: int) -> Round:
    who = (("authorization", f"Bearer {key}"), ("i2v-user", "watcher"))
    arrivals: list[tuple[float, bytes]] = []
    joined: list[float] = []

    async def watch(channel: grpc.aio.Channel, name: str) -> None:
        # Raw bytes: messages are parsed afterwards, so that the benchmark does not measure the client.
        call: Any = channel.unary_stream(
            "/i2v.v1.JobService/WatchJob", request_serializer=job_pb2.WatchJobRequest.SerializeToString
        )
        first = True
        async for data in call(job_pb2.WatchJobRequest(name=name), metadata=who):
            now = time.time()
            arrivals.append((now, data))
            if first:
                joined.append(now)
                first = False

    options = [("grpc.use_local_subchannel_pool", 1)]
    channels = [grpc.aio.insecure_channel(address, options=options) for _ in range(max(1, watchers // STREAMS))]
    stub: Any = job_pb2_grpc.JobServiceStub(channels[0])
    jobs = [await stub.SubmitJob(a_request(number), metadata=who) for number in range(JOBS)]
    await asyncio.gather(*(watch(channels[n % len(channels)], jobs[n % JOBS].name) for n in range(watchers)))
    ended = [await stub.GetJob(job_pb2.GetJobRequest(name=job.name), metadata=who) for job in jobs]
    for channel in channels:
        await channel.close()
    assert all(job.state == job_pb2.Job.SUCCEEDED for job in ended), ended
    late = sorted(_lateness(arrivals, after=max(joined)))
    took = [job.end_time.ToNanoseconds() - job.start_time.ToNanoseconds() for job in ended]
    p50, p99 = (1000 * late[int(len(late) * share)] for share in (0.5, 0.99))
    return Round(p50, p99, statistics.median(took) / 1e9, len(late))


def a_request(number: int) -> job_pb2.SubmitJobRequest:
    """Returns a submission of a job with many events."""
    spec = job_pb2.JobSpec(model="watched", text_to_video=job_pb2.TextToVideo(prompt="a wave"), seed=number)
    return job_pb2.SubmitJobRequest(request_id=str(uuid.uuid4()), spec=spec)


def _lateness(arrivals: list[tuple[float, bytes]], after: float) -> Iterator[float]:
    """Yields the seconds from an event's time to its arrival, of events that count and came after a moment."""
    for arrived, data in arrivals:
        answer = job_pb2.WatchJobResponse.FromString(data)
        happened = answer.event.create_time.ToNanoseconds() / 1e9
        if answer.event.sequence >= SETTLED and happened > after:
            yield arrived - happened


def main() -> int:
    """Prints one round."""
    address, key_file, watchers = sys.argv[1:]
    done = asyncio.run(_round(address, Path(key_file).read_text().strip(), int(watchers)))
    print(json.dumps(vars(done)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
