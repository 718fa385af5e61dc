"""The cost of tracing: processor time of a submission without tracing, and with shares of the traces recorded.

`python -m tools.bench_tracing` prints a table. Every side is an API process of its own, before the same database. Their
short rounds come in turn. A round is compared with the mean of its two sides without tracing, whose own difference
shows how much the measurement varies.
"""

import argparse
import asyncio
import os
import platform
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from i2v.v1 import job_pb2, job_pb2_grpc

from services.orchestrator.store.embedded_postgres import EmbeddedPostgres
from tools.bench_service import PLANS
from tools.otlp_receiver import receiving
from tools.stack import Orchestrator
from tools.stack_process import free_port

SIDES = {"off": None, "off again": None, "1 % recorded": 0.01, "every trace recorded": 1.0}
AT_A_TIME = 16
WARM_UP = 300
WANTED = "1 % recorded"
MOST = 1.03
"""Of the processor time without tracing."""


@dataclass
class Side:
    """A running process, and its rounds."""

    server: Orchestrator
    stub: Any
    who: Sequence[tuple[str, str]]
    cpu_ms: list[float] = field(default_factory=list)
    """Of a submission, by round."""

    def cpu_s(self) -> float:
        """Returns the processor time that the process has used, to the nanosecond."""
        (pid,) = Path(f"/proc/{self.server.pid}/task/{self.server.pid}/children").read_text().split()
        return time.clock_gettime((~int(pid) << 3) | 2)  # as clock_getcpuclockid(3) makes it

    async def submit(self, number: int) -> None:
        """Submits jobs, several at a time."""
        left = iter(range(number))
        spec = job_pb2.JobSpec(model="nano", text_to_video=job_pb2.TextToVideo(prompt="a wave"), seed=1)
        spec.duration.seconds = 1

        async def some() -> None:
            for _ in left:
                request = job_pb2.SubmitJobRequest(request_id=str(uuid.uuid4()), spec=spec)
                await self.stub.SubmitJob(request, metadata=self.who)

        await asyncio.gather(*(some() for _ in range(AT_A_TIME)))

    async def round(self, number: int) -> None:
        """Measures one round."""
        before = self.cpu_s()
        await self.submit(number)
        self.cpu_ms.append((self.cpu_s() - before) * 1000 / number)


async def measured(rounds: int, number: int) -> dict[str, Side]:
    """Returns the sides after their rounds."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="i2v-bench-")))
        postgres = await asyncio.to_thread(EmbeddedPostgres, folder / "postgres")
        stack.callback(postgres.close)
        collector = await stack.enter_async_context(receiving())
        sides: dict[str, Side] = {}
        for name, share in SIDES.items():
            more = {
                "I2V_DATABASE_URL": postgres.url,
                "I2V_DEV_KEY_FILE": str(folder / "dev-key"),
                "I2V_PLANS_FILE": str(PLANS),
                "I2V_LOG_LEVEL": "WARNING",
            }
            if share is not None:
                more |= collector.environment(
                    OTEL_TRACES_SAMPLER="parentbased_traceidratio", OTEL_TRACES_SAMPLER_ARG=str(share)
                )
            server = Orchestrator(
                folder / name.replace(" ", "-"),
                "",
                port=free_port(),
                metrics_port=free_port(),
                role="api",
                more=more,
            )
            await asyncio.to_thread(stack.enter_context, server)
            channel = await stack.enter_async_context(grpc.aio.insecure_channel(server.address))
            key = (folder / "dev-key").read_text().strip()
            stub = job_pb2_grpc.JobServiceStub(channel)
            sides[name] = Side(server, stub, (("authorization", f"Bearer {key}"),))
        for side in sides.values():
            await side.submit(WARM_UP)
        for number_of_round in range(rounds):
            # The first one of a round is not always the same.
            order = list(sides.values())
            for side in order[number_of_round % len(order) :] + order[: number_of_round % len(order)]:
                await side.round(number)
        return sides


def main(arguments: Sequence[str]) -> int:
    """Prints the table. Returns 1 if tracing costs more than it may."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench_tracing", description=__doc__)
    parser.add_argument("--rounds", type=int, default=80)
    parser.add_argument("--submissions", type=int, default=100, help="of one round")
    given = parser.parse_args(arguments)
    began = time.monotonic()
    sides = asyncio.run(measured(given.rounds, given.submissions))
    off = [statistics.mean(both) for both in zip(sides["off"].cpu_ms, sides["off again"].cpu_ms, strict=True)]
    print(f"{platform.machine()}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f}, {given.rounds} rounds of")
    print(f"{given.submissions} submissions for each side, {time.monotonic() - began:.0f} s\n")
    print("| tracing | processor time of a submission | compared with off, in the same round |\n|---|---|---|")
    medians = {}
    for name, side in sides.items():
        ratios = [ours / theirs for ours, theirs in zip(side.cpu_ms, off, strict=True)]
        medians[name], (low, _, high) = statistics.median(ratios), statistics.quantiles(ratios, n=4)
        error = (high - low) / 1.35 * 1.25 / len(ratios) ** 0.5
        added = f"{(medians[name] - 1) * 100:+.1f} ± {error * 100:.1f} %"
        print(f"| {name} | {statistics.median(side.cpu_ms):.2f} ms | {added} |")
    return 0 if medians[WANTED] <= MOST else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
