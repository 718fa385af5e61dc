"""Live playback: when a player has its first picture, how late fragments come into the playlist, and what polls cost.

`python -m tools.bench_live` starts an orchestrator with the fake backend and the HTTP process, and prints a table in
half a minute. The player is FFmpeg (PyAV). The floor of the first picture is the same fragment as a file, the floor of
polls a bare uvicorn that answers with the same bytes.
"""

import asyncio
import statistics
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import av
import grpc
import httpx
import uvicorn
from i2v.v1 import asset_pb2, asset_pb2_grpc, job_pb2, job_pb2_grpc, live_pb2, live_pb2_grpc
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tools.stack import Orchestrator
from tools.stack_process import HOST, StackProcess, free_port
from tools.stack_vendors import without_keys

VIDEOS = 6
PLAYERS, POLLS = 200, 10_000
PICTURE_S = 1.0
"""A player's first picture comes within this time after the first fragment."""
PLAYER = {"live_start_index": "0", "analyzeduration": "1", "fpsprobesize": "0"}
CARD = """
[models.live]
display_name = "Live"
description = "For the benchmark."
backend = "fake"
operations = ["text-to-video"]
sizes = ["{size}"]
durations_s = [4]
fps = 16
prompt_max_characters = 100
price_per_second_micros = 1
default_timeout_s = 300
"""


@dataclass(frozen=True)
class Service:
    """What runs."""

    channel: grpc.Channel
    who: tuple[tuple[str, str], ...]
    metrics: str
    """URL of the metrics of the HTTP process."""
    address: str
    """URL of the HTTP process."""

    def submit(self, seed: int) -> str:
        """Submits a video, and returns its job."""
        spec = job_pb2.JobSpec(model="live", text_to_video=job_pb2.TextToVideo(prompt="a wave"), seed=seed)
        request = job_pb2.SubmitJobRequest(request_id=str(uuid.uuid4()), spec=spec)
        stub: Any = job_pb2_grpc.JobServiceStub(self.channel)
        return str(stub.SubmitJob(request, metadata=self.who).name)

    def url(self, job: str) -> str:
        """Returns the live URL of a job."""
        stub: Any = live_pb2_grpc.LiveServiceStub(self.channel)
        return str(stub.SignLiveUrl(live_pb2.SignLiveUrlRequest(name=job), metadata=self.who).url)

    def fragments(self, job: str) -> Iterator[tuple[float, job_pb2.FragmentReady]]:
        """Yields the fragments with the time of their events, as they come, in seconds since 1970."""
        stub: Any = job_pb2_grpc.JobServiceStub(self.channel)
        for answer in stub.WatchJob(job_pb2.WatchJobRequest(name=job), metadata=self.who):
            if answer.event.WhichOneof("event") == "fragment_ready":
                yield answer.event.create_time.ToNanoseconds() / 1e9, answer.event.fragment_ready

    def bytes(self, asset: str) -> bytes:
        """Returns a fragment."""
        stub: Any = asset_pb2_grpc.AssetServiceStub(self.channel)
        parts = stub.ReadAsset(asset_pb2.ReadAssetRequest(name=asset), metadata=self.who)
        return b"".join(each.data for each in parts)


@contextmanager
def service(folder: Path) -> Iterator[Service]:
    """Starts an orchestrator and the HTTP process."""
    cards, port, metrics = folder / "models.toml", free_port(), free_port()
    cards.write_text(CARD.format(size="640x352"))
    more = {"I2V_STUDIO_URL": f"http://{HOST}:{port}", "I2V_FAKE_SLOTS": "2", "I2V_FAKE_PAUSE_S": "0.4"}
    listen = {"I2V_STUDIO_LISTEN": f"{HOST}:{port}", "I2V_STUDIO_METRICS_LISTEN": f"{HOST}:{metrics}"}
    with ExitStack() as stack:
        server = stack.enter_context(
            Orchestrator(folder, "127.0.0.1:9", port=free_port(), metrics_port=free_port(), cards=cards, more=more)
        )
        studio: Mapping[str, str] = without_keys() | listen | {"I2V_STUDIO_API": server.address}
        ports, log = {"HTTP": port, "metrics": metrics}, folder / "studio.log"
        stack.enter_context(
            StackProcess(
                "the HTTP process", "services.studio", log=log, ports=ports, environment=studio, speaks_grpc=False
            )
        )
        channel = stack.enter_context(grpc.insecure_channel(server.address))
        who = (("authorization", f"Bearer {server.key_file.read_text().strip()}"), ("i2v-user", "viewer"))
        yield Service(channel, who, f"http://{HOST}:{metrics}/metrics", f"http://{HOST}:{port}")


def first_picture(source: str) -> float:
    """Plays until the first picture, and returns when that was."""
    options = PLAYER if source.startswith("http") else {}
    with av.open(source, options=options, timeout=30) as opened:
        next(opened.decode(opened.streams.video[0]))
        return time.time()


def pictures(served: Service, folder: Path) -> Iterator[str]:
    """Yields the rows of the first picture and of the playlist."""
    waited, came, floor, late = [], [], [], []
    list(served.fragments(served.submit(99)))  # first-time costs
    for number in range(VIDEOS):
        job = served.submit(number)
        url, ready = served.url(job), list[float]()
        with ThreadPoolExecutor() as threads:
            player, polling = threads.submit(first_picture, url), threads.submit(_growth, url)  # nothing is made yet
            for at, fragment in served.fragments(job):
                ready.append(at)
                if len(ready) == 1:
                    began = time.time()
                    came.append(first_picture(url) - began)
                    file = folder / "fragment.mp4"
                    file.write_bytes(served.bytes(fragment.asset))
                    began = time.time()
                    floor.append(first_picture(str(file)) - began)
            waited.append(player.result() - ready[0])
            late += [seen - at for seen, at in zip(polling.result(), ready, strict=True)][1:]
    yield _row("first picture after the first fragment, player that waited for it", waited)
    yield _row("first picture after the URL was opened, first fragment there", came)
    yield _row("  floor: the same fragment, as a file", floor)
    yield _row("from a fragment's event to its place in the playlist", late)
    met = "met" if max(waited) <= PICTURE_S else "MISSED"
    yield f"wanted: first picture at most {PICTURE_S:.0f} s after the first fragment: {met}"


def polls(served: Service) -> Iterator[str]:
    """Yields the rows of many players that poll one playlist."""
    job = served.submit(100)
    *_, _last = served.fragments(job)
    with httpx.Client(trust_env=False) as http:
        where = _media(http, served.url(job))
        text = http.get(where).text
        before = _lookups(http, served.metrics)
        took, each = asyncio.run(_poll(where))
        calls = _lookups(http, served.metrics) - before
        yield f"{POLLS} polls by {PLAYERS} players: {POLLS / took:.0f} a second, {calls:.0f} calls of the API"
        yield _row("  time of a poll", each)
    with _bare(text) as address:
        took, each = asyncio.run(_poll(address))
        yield f"  floor: a bare uvicorn in this process: {POLLS / took:.0f} a second"


def _growth(url: str) -> list[float]:
    """Polls a playlist until its end, and returns when each segment was there."""
    seen: list[float] = []
    with httpx.Client(trust_env=False, timeout=30) as http:
        where = _media(http, url)
        while True:
            text = http.get(where).text
            seen += [time.time()] * (text.count("#EXTINF") - len(seen))
            if "#EXT-X-ENDLIST" in text:
                return seen
            time.sleep(0.02)


def _media(http: httpx.Client, url: str) -> str:
    lines = http.get(url).raise_for_status().text.splitlines()
    return urljoin(url, next(line for line in lines if not line.startswith("#")))


def _lookups(http: httpx.Client, metrics: str) -> float:
    lines = http.get(metrics).text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("i2v_studio_live_lookups_total "))


async def _poll(url: str) -> tuple[float, list[float]]:
    """Polls by plain sockets, so that the client costs little. Returns the seconds of all and of each."""
    at, each = urlsplit(url), list[float]()
    request = f"GET {at.path}?{at.query} HTTP/1.1\r\nHost: {at.netloc}\r\n\r\n".encode()

    async def player() -> None:
        reader, writer = await asyncio.open_connection(at.hostname, at.port)
        for _ in range(POLLS // PLAYERS):
            began = time.perf_counter()
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            assert head.startswith(b"http/1.1 200"), head
            await reader.readexactly(int(head.partition(b"content-length: ")[2].split()[0]))
            each.append(time.perf_counter() - began)
        writer.close()

    began = time.perf_counter()
    await asyncio.gather(*(player() for _ in range(PLAYERS)))
    return time.perf_counter() - began, each


@contextmanager
def _bare(text: str) -> Iterator[str]:
    """Serves a text by uvicorn alone, in a thread."""

    async def answer(request: Request) -> Response:
        return Response(text)

    port = free_port()
    app = Starlette(routes=[Route("/", answer)])
    server = uvicorn.Server(uvicorn.Config(app, host=HOST, port=port, http="h11", log_level="error", access_log=False))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    try:
        yield f"http://{HOST}:{port}/?a"
    finally:
        server.should_exit = True
        thread.join()


def _row(what: str, seconds: list[float]) -> str:
    middle, late = statistics.median(seconds), sorted(seconds)[int(len(seconds) * 0.99)]
    return f"{what}: median {1000 * middle:.0f} ms, 99th percentile {1000 * late:.0f} ms"


def main() -> int:
    """Prints the table."""
    with tempfile.TemporaryDirectory(prefix="i2v-bench-") as name, service(Path(name)) as served:
        for row in (*pictures(served, Path(name)), *polls(served)):
            sys.stdout.write(f"{row}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
