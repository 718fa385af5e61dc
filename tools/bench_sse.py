"""The delay of events over HTTP: 500 server-sent streams, and as the floor 500 bare watches of gRPC in the same run.

`python -m tools.bench_sse` prints the row. `python -m tools.bench_sse ADDRESS KEY_FILE URL` is the client of one round,
a process of its own.
"""

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

import grpc
from i2v.v1 import job_pb2, job_pb2_grpc

from tools import bench_watch
from tools.bench_service import Row
from tools.bench_watch import CARD, JOBS, PAUSE_S, SETTLED, Round
from tools.stack import Orchestrator
from tools.stack_process import HOST, StackProcess, free_port

STREAMS = 500
ROUNDS = 3
WANTED_MS = 100.0


def measure() -> Iterator[Row]:
    """Yields the row; about a minute."""
    with tempfile.TemporaryDirectory(prefix="i2v-bench-") as folder, ExitStack() as stack:
        cards, port = Path(folder) / "models.toml", free_port()
        cards.write_text(CARD)
        more = {"I2V_FAKE_SLOTS": str(JOBS), "I2V_FAKE_PAUSE_S": str(PAUSE_S)}
        server = stack.enter_context(
            Orchestrator(
                Path(folder), "127.0.0.1:9", port=free_port(), metrics_port=free_port(), cards=cards, more=more
            )
        )
        stack.enter_context(studio(Path(folder), server.address, port))
        url = f"{HOST}:{port}"
        streams, watches = [], []
        client(server, url)
        for _ in range(ROUNDS):  # in turn, so that a slow moment of the machine meets both
            watches.append(bench_watch.client(server, STREAMS))
            streams.append(client(server, url))
    ours, floor = (statistics.median(each.p99_ms for each in rounds) for rounds in (streams, watches))
    middle, floor_middle = (statistics.median(each.p50_ms for each in rounds) for rounds in (streams, watches))
    yield Row(
        f"Events of {JOBS} running jobs reach {STREAMS} server-sent streams: 99th percentile",
        f"{ours:.0f} ms (median {middle:.0f}); {STREAMS} bare watches {floor:.0f} ms (median {floor_middle:.0f})",
        f"≤ {WANTED_MS:.0f} ms",
        ours <= WANTED_MS,
    )


def studio(folder: Path, api: str, port: int, **settings: str) -> StackProcess:
    """Returns the HTTP process before an API, for a benchmark."""
    own = {"LISTEN": f"{HOST}:{port}", "METRICS_LISTEN": "", "API": api, "LOG_LEVEL": "WARNING"} | settings
    environment = os.environ | {f"I2V_STUDIO_{name}": value for name, value in own.items()}
    return StackProcess(
        "studio",
        "services.studio",
        log=folder / "studio.log",
        ports={"HTTP": port},
        environment=environment,
        speaks_grpc=False,
    )


def client(server: Orchestrator, url: str) -> Round:
    """Runs the client of one round."""
    command = [sys.executable, "-m", "tools.bench_sse", server.address, str(server.key_file), url]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode:
        raise RuntimeError(f"the client of the streams failed:\n{done.stderr}")
    return Round(**json.loads(done.stdout))


async def _round(address: str, key: str, url: str) -> Round:
    async with grpc.aio.insecure_channel(address) as channel:
        stub: Any = job_pb2_grpc.JobServiceStub(channel)
        jobs = [await stub.SubmitJob(bench_watch.a_request(n), metadata=_who(key, n)) for n in range(JOBS)]
        arrivals: list[tuple[float, bytes]] = []
        joined: list[float] = []
        await asyncio.gather(
            *(_read(url, key, n % JOBS, jobs[n % JOBS].name, arrivals, joined) for n in range(STREAMS))
        )
        ended = [
            await stub.GetJob(job_pb2.GetJobRequest(name=job.name), metadata=_who(key, n)) for n, job in enumerate(jobs)
        ]
    assert all(job.state == job_pb2.Job.SUCCEEDED for job in ended), ended
    late = sorted(_lateness(arrivals, after=max(joined)))
    took = [job.end_time.ToNanoseconds() - job.start_time.ToNanoseconds() for job in ended]
    p50, p99 = (1000 * late[int(len(late) * share)] for share in (0.5, 0.99))
    return Round(p50, p99, statistics.median(took) / 1e9, len(late))


def _who(key: str, number: int) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {key}"), ("i2v-user", f"reader-{number}"))


async def _read(
    url: str, key: str, user: int, job: str, arrivals: list[tuple[float, bytes]], joined: list[float]
) -> None:
    """Reads a stream by the bytes: the benchmark measures no client."""
    host, _, port = url.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"GET /v1/{job}/events HTTP/1.1\r\nHost: studio\r\nAuthorization: Bearer {key}\r\n"
    writer.write(f"{head}I2V-User: reader-{user}\r\nConnection: close\r\n\r\n".encode())
    assert b" 200 " in await reader.readline()
    first = True
    while chunk := await reader.read(1 << 16):
        now = time.time()
        arrivals.append((now, chunk))
        if first and b"id: " in chunk:
            joined.append(now)
            first = False
    writer.close()


def _lateness(arrivals: list[tuple[float, bytes]], after: float) -> Iterator[float]:
    """Yields the seconds from an event's time to its arrival, of events that count and came after a moment."""
    for arrived, chunk in arrivals:
        for line in chunk.splitlines():
            if line.startswith(b"data: "):
                event = json.loads(line.removeprefix(b"data: "))
                happened = datetime.fromisoformat(event.get("createTime", "1970-01-01T00:00:00Z")).timestamp()
                if int(event.get("sequence", "0")) >= SETTLED and happened > after:
                    yield arrived - happened


def main() -> int:
    """Prints the row, or one round."""
    if len(sys.argv) > 1:
        address, key_file, url = sys.argv[1:]
        print(json.dumps(vars(asyncio.run(_round(address, Path(key_file).read_text().strip(), url)))))
        return 0
    rows = list(measure())
    for row in rows:
        print(f"{'ok  ' if row.met else 'MISS'} {row.what}: {row.measured}, wanted {row.wanted}")
    return 0 if all(row.met for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
