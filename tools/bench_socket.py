"""Socket.IO: how late progress comes to 200 sockets of 50 live jobs, and whether any frame goes astray.

`python -m tools.bench_socket` starts an orchestrator with the fake backend and the HTTP process, and prints a table in
a minute. Each job has a caller of its own, with four sockets that acknowledge each frame. A time is from the event's
own time to its receipt here. The floor is the same number of bare gRPC watches, of as many jobs, without any frames.
"""

import asyncio
import json
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import grpc
from i2v.v1 import job_pb2, job_pb2_grpc

from tools.bench_live import CARD
from tools.stack import Orchestrator
from tools.stack_process import HOST, StackProcess, free_port
from tools.stack_vendors import without_keys

JOBS, SOCKETS_EACH = 50, 4
WANTED_S = 0.2
APART_S = 0.02
"""Between the starts of two jobs, whose parts take a second each: so they come evenly."""


@dataclass
class Seen:
    """What came."""

    times: dict[tuple[str, int], list[float]] = field(default_factory=dict)
    """When each block of each job was announced here."""
    frames: dict[str, set[int]] = field(default_factory=dict)
    """Hashes of the frames, by the job whose sockets got them."""
    stray: int = 0
    """Frames of another job than the socket's."""
    count: int = 0


@asynccontextmanager
async def service(folder: Path) -> AsyncIterator[tuple[grpc.aio.Channel, str, str]]:
    """Yields a channel to an orchestrator, the URL of the HTTP process, and a key."""
    cards, port, metrics = folder / "models.toml", free_port(), free_port()
    cards.write_text(CARD.format(size="160x96"))
    more = {
        "I2V_STUDIO_URL": f"http://{HOST}:{port}",
        "I2V_FAKE_SLOTS": str(JOBS),
        "I2V_FAKE_PAUSE_S": "1.0",
        "I2V_PIXEL_MARK": "false",
    }
    listen = {"I2V_STUDIO_LISTEN": f"{HOST}:{port}", "I2V_STUDIO_METRICS_LISTEN": f"{HOST}:{metrics}"}
    with ExitStack() as stack:
        server = stack.enter_context(
            Orchestrator(folder, "127.0.0.1:9", port=free_port(), metrics_port=free_port(), cards=cards, more=more)
        )
        studio = without_keys() | listen | {"I2V_STUDIO_API": server.address}
        ports, log = {"HTTP": port, "metrics": metrics}, folder / "studio.log"
        stack.enter_context(
            StackProcess(
                "the HTTP process", "services.studio", log=log, ports=ports, environment=studio, speaks_grpc=False
            )
        )
        async with grpc.aio.insecure_channel(server.address) as channel:
            yield channel, f"http://{HOST}:{port}", server.key_file.read_text().strip()


def who(key: str, user: str) -> tuple[tuple[str, str], ...]:
    """Returns the metadata of a caller."""
    return (("authorization", f"Bearer {key}"), ("i2v-user", user))


async def watch(channel: grpc.aio.Channel, key: str, user: str, job: str, seen: Seen) -> dict[tuple[str, int], float]:
    """Watches a job to its end, and returns the time of each block by the event itself."""
    stub: Any = job_pb2_grpc.JobServiceStub(channel)
    made = {}
    async for answer in stub.WatchJob(job_pb2.WatchJobRequest(name=job), metadata=who(key, user)):
        if answer.event.WhichOneof("event") == "fragment_ready":
            block = (job, answer.event.fragment_ready.index)
            made[block] = answer.event.create_time.ToNanoseconds() / 1e9
            seen.times.setdefault(block, []).append(time.time())
    return made


async def submit(channel: grpc.aio.Channel, key: str, user: str, seed: int) -> str:
    """Submits a job, and returns its name."""
    stub: Any = job_pb2_grpc.JobServiceStub(channel)
    spec = job_pb2.JobSpec(model="live", text_to_video=job_pb2.TextToVideo(prompt="a wave"), seed=seed)
    request = job_pb2.SubmitJobRequest(request_id=str(uuid.uuid4()), spec=spec)
    return str((await stub.SubmitJob(request, metadata=who(key, user))).name)


async def watches(channel: grpc.aio.Channel, key: str) -> list[float]:
    """Returns how late blocks come to bare watches, in seconds."""
    seen = Seen()
    users = [f"watch-{number}" for number in range(JOBS)]
    running = []
    for seed, user in enumerate(users):
        job = await submit(channel, key, user, seed)
        running += [asyncio.create_task(watch(channel, key, user, job, seen)) for _ in range(SOCKETS_EACH)]
        await asyncio.sleep(APART_S)
    made = await asyncio.gather(*running)
    return late(seen, {block: at for one in made for block, at in one.items()})


async def sockets(channel: grpc.aio.Channel, url: str, key: str) -> tuple[list[float], Seen]:
    """Returns how late blocks come to sockets, in seconds, and what came."""
    seen, users = Seen(), [f"socket-{number}" for number in range(JOBS)]
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
        opened = {user: [await connect(session, url, key, user) for _ in range(SOCKETS_EACH)] for user in users}
        jobs = {}
        readers = []
        for seed, user in enumerate(users):
            ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
            readers += [asyncio.create_task(read(ws, seen, ready)) for ws in opened[user]]
            wishes = {"prompt": "a wave", "model": "live", "seed": 1000 + seed}
            await opened[user][0].send_str("421" + json.dumps(["start_generation", wishes]))
            jobs[user] = f"jobs/{await ready}"
            await asyncio.sleep(APART_S)
        made = await asyncio.gather(*(watch(channel, key, user, job, Seen()) for user, job in jobs.items()))
        await asyncio.gather(*readers)
    return late(seen, {block: at for one in made for block, at in one.items()}), seen


async def connect(session: aiohttp.ClientSession, url: str, key: str, user: str) -> aiohttp.ClientWebSocketResponse:
    """Opens a socket of a caller."""
    ws = await session.ws_connect(f"{url}/socket.io/?EIO=4&transport=websocket")
    await ws.send_str("40" + json.dumps({"key": key, "user": user}))
    async for message in ws:
        if message.data.startswith("40"):
            return ws
    raise ConnectionError("the handshake was refused")


async def read(ws: aiohttp.ClientWebSocketResponse, seen: Seen, ready: "asyncio.Future[str]") -> None:
    """Reads a socket to the end of its job, and acknowledges each frame. `ready` becomes the id of the job."""
    own = ""
    async for message in ws:
        text = str(message.data)
        if text == "2":
            await ws.send_str("3")
            continue
        number, bracket, rest = text[2:].partition("[")
        if not bracket or not text.startswith("42"):
            if text.startswith("431") and not ready.done():
                answer = json.loads(text[3:])[0]
                if "job_id" in answer:
                    ready.set_result(answer["job_id"])
                else:
                    ready.set_exception(RuntimeError(answer["error"]["message"]))
            continue
        at = time.time()
        event, said = json.loads(bracket + rest)
        if event == "error":
            raise RuntimeError(said["message"])
        own = own or said["job_id"]
        seen.stray += said["job_id"] != own
        if event == "progress" and said["message"].startswith("Block "):
            seen.times.setdefault((f"jobs/{own}", int(said["message"].split()[1]) - 1), []).append(at)
        elif event == "frame_ready":
            seen.count += 1
            seen.frames.setdefault(own, set()).add(hash(said["data"]))
            await ws.send_str(f"43{number}[]")
        elif event == "generation_complete":
            await ws.close()
            return


def late(seen: Seen, made: dict[tuple[str, int], float]) -> list[float]:
    """Returns how late each announcement was, in seconds."""
    return [at - made[block] for block, times in seen.times.items() for at in times]


def row(what: str, seconds: list[float]) -> str:
    """Returns a row of the table."""
    middle, last = statistics.median(seconds), sorted(seconds)[int(len(seconds) * 0.99)]
    return (
        f"{what}: {len(seconds)} announcements, median {1000 * middle:.0f} ms, 99th percentile {1000 * last:.0f} ms, "
        f"most {1000 * max(seconds):.0f} ms"
    )


async def table(folder: Path) -> None:
    """Prints the table."""
    async with service(folder) as (channel, url, key):
        await watch(channel, key, "first", await submit(channel, key, "first", 999), Seen())  # first-time costs
        floor = await watches(channel, key)
        began = time.time()
        found, seen = await sockets(channel, url, key)
        took_s = time.time() - began
    shared = sum(map(len, seen.frames.values())) - len(set[int]().union(*seen.frames.values()))
    p99 = sorted(found)[int(len(found) * 0.99)]
    sys.stdout.write(f"{JOBS} jobs at a time, {JOBS * SOCKETS_EACH} sockets\n")
    sys.stdout.write(row("progress over Socket.IO, with all frames", found) + "\n")
    sys.stdout.write(row("  floor: bare gRPC watches, without frames", floor) + "\n")
    sys.stdout.write(f"frames: {seen.count}, {seen.count / took_s:.0f} a second\n")
    sys.stdout.write(f"frames of another's job: {seen.stray + shared}\n")
    sys.stdout.write(f"wanted: 99th percentile at most 200 ms: {'met' if p99 <= WANTED_S else 'MISSED'}\n")


def main() -> int:
    """Runs the benchmark."""
    with tempfile.TemporaryDirectory(prefix="i2v-bench-") as name:
        asyncio.run(table(Path(name)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
