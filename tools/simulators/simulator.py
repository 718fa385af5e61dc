"""What all simulated vendors share: the server, the life of a task, the faults, the videos, the counting, the control.

`POST /control/scenario` takes a Scenario as JSON; `GET /control/counts` tells how often each thing was asked for.
"""

import argparse
import asyncio
import base64
import hashlib
import itertools
import json
import re
import secrets
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from aiohttp import web

from tools.simulators.faults import abort, faulty, half, padded
from tools.simulators.scenario import Scenario
from tools.simulators.video import make_video

DATA_URI = re.compile(r"data:([\w/+.-]+);base64,")
MIXED = ("no-id", "other-task", "other-failed", "other-model")
"""Looks that are answered for another task."""
PIECE_BYTES = 256 * 1024
"""Of a video, at a time."""


@dataclass
class Request:
    """What a submission asks for, in the words of no vendor."""

    model: str
    picture: bytes
    short_side: int
    seconds: float
    sound: bytes | None = None
    prompt: str = ""


@dataclass
class Work:
    """One task of a simulated vendor."""

    ref: str
    request: Request
    scenario: Scenario
    began: float
    released: asyncio.Event = field(default_factory=asyncio.Event)
    cancelled: bool = False
    cut: int = 0

    @property
    def ends(self) -> float:
        """When it has ended, unless it is kept where it is."""
        return self.began + self.scenario.queue_s + self.scenario.work_s

    def state(self, now: float) -> str:
        """`queue`, `work`, or how it has ended."""
        if self.cancelled:
            return "cancelled"
        if self.scenario.stay and not self.released.is_set():
            return self.scenario.stay
        if now < self.began + self.scenario.queue_s:
            return "queue"
        return "work" if now < self.ends else self.scenario.end


class Refusal(Exception):
    """The vendor refuses a request."""

    def __init__(self, status: int, words: str) -> None:
        self.status = status
        self.words = words


class Simulator(ABC):
    """One vendor. The abstract methods are what differs."""

    name = ""
    key = "simulated-key"

    def __init__(self, *, fps: int = 24, any_key: bool = False) -> None:
        self.scenario = Scenario()
        self.counts: Counter[str] = Counter()
        self.submitted: list[dict[str, Any]] = []
        self.lengths: list[int] = []
        self.works: dict[str, Work] = {}
        self.uploads: dict[str, bytes] = {}
        self.keep_inputs = True
        """Whether `submitted` grows; a thousand tasks with pictures would be a gigabyte."""
        self.host = "127.0.0.1"
        self.port = 0
        self._fps = fps
        self._any_key = any_key
        self._run = secrets.token_hex(4)
        self._ids = itertools.count(1)
        self._never = asyncio.Event()
        self.arrived = asyncio.Event()
        """A submission that is held has arrived."""
        self.held = asyncio.Event()
        """Lets it go on."""
        self.application = web.Application(client_max_size=200_000_000)
        self.application.router.add_get("/outputs/{ref}.mp4", self._output)
        self.application.router.add_get("/control/counts", self._tell_counts)
        self.application.router.add_post("/control/scenario", self._take_scenario)
        self.add_routes()

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def paid(self) -> int:
        """How many requests that cost money have come in."""
        return self.counts["submit"]

    def release(self) -> None:
        """Lets every task go on that stays where its scenario keeps it."""
        for work in self.works.values():
            work.released.set()

    # --- what differs ---

    @abstractmethod
    def add_routes(self) -> None: ...

    @abstractmethod
    def is_known(self, request: web.Request) -> bool:
        """Whether the key of a request is right."""

    @abstractmethod
    def refusal(self, status: int, words: str) -> web.Response: ...

    @abstractmethod
    def words_of(self, kind: str) -> tuple[int, str]:
        """Status and words of a refusal by its kind: `moderation`, `bad-key`, `no-credit`."""

    @abstractmethod
    def acceptance(self, work: Work) -> dict[str, Any]: ...

    # --- submissions ---

    async def submit(self, request: web.Request, read: Callable[[dict[str, Any]], Request]) -> web.StreamResponse:
        """Takes a submission in, or does what the scenario says."""
        self.counts["submit"] += 1
        scenario = self.scenario
        body = await request.read()
        self.lengths.append(len(body))
        if scenario.submit in ("moderation", "bad-key", "no-credit"):
            return self._refuse(*self.words_of(scenario.submit))
        if not self.is_known(request):
            return self._refuse(*self.words_of("bad-key"))
        if scenario.submit == "refused":
            return self._refuse(scenario.status, scenario.words or "no")
        if scenario.submit in ("garbage", "types", "deep", "huge"):
            return faulty(scenario.submit)
        try:
            fields = json.loads(body)
            wanted = read(fields)
        except Refusal as refusal:
            return self._refuse(refusal.status, refusal.words)
        if self.keep_inputs:
            self.submitted.append(fields)
        work = self._begin(wanted)
        if scenario.submit == "lost":
            abort(request)
        if scenario.submit == "hang":
            await self._never.wait()
        if scenario.submit == "hold":
            self.arrived.set()
            await self.held.wait()
        answer = self.acceptance(work)
        if scenario.submit == "half":
            return await half(request, json.dumps(answer).encode())
        return web.json_response(self.spoiled(answer, scenario.submit))

    @abstractmethod
    def spoiled(self, answer: dict[str, Any], how: str) -> dict[str, Any]:
        """Returns an acceptance with `no-id`, `bad-id`, `same-id` or `other-model`, or as it is."""

    def _refuse(self, status: int, words: str) -> web.Response:
        response = self.refusal(status, words)
        if self.scenario.encoding:
            told = json.dumps(json.loads(response.text or ""), ensure_ascii=False)
            encoding = self.scenario.encoding.replace("raw", "utf-8")
            response.body = told.encode(encoding, errors="surrogatepass")
        if self.scenario.retry_after:
            response.headers["retry-after"] = self.scenario.retry_after
        return response

    def _begin(self, wanted: Request) -> Work:
        now = asyncio.get_running_loop().time()
        # As at a real vendor, an id always names the same task, because clients keep ids after this process has ended.
        work = Work(f"task-{self._run}-{next(self._ids):06x}", wanted, self.scenario, now)
        self.works[work.ref] = work
        return work

    def given(self, value: Any, *, bare: bool = False) -> bytes:
        """Returns the bytes of an input: a data URI, base64 alone where that is the model's way, or an upload's URL."""
        if not isinstance(value, str):
            raise Refusal(400, "an input is missing")
        if value.startswith(self.url + "/uploads/"):
            return self.uploads[value.rpartition("/")[2]]
        found = DATA_URI.match(value)
        if (found is None) is not bare:
            raise Refusal(400, "an input is not encoded as this model wants it")
        return base64.b64decode(value[found.end() :] if found else value, validate=True)

    # --- looks ---

    async def look(self, request: web.Request, answer: Callable[[Work, str], web.Response]) -> web.StreamResponse:
        """Answers a look at a task, or does what the scenario says."""
        self.counts["look"] += 1
        if not self.is_known(request):
            return self._refuse(*self.words_of("bad-key"))
        work = self.works.get(request.match_info["ref"])
        if work is None:
            return self.refusal(404, "not found")
        if work.scenario.looks and (fault := work.scenario.looks.pop(0)):
            if fault in MIXED:
                return answer(self._mixed(work, fault), "failed" if fault == "other-failed" else "completed")
            return await self._fault(request, fault)
        return answer(work, work.state(asyncio.get_running_loop().time()))

    def _mixed(self, work: Work, fault: str) -> Work:
        """Returns the task that an answer names when the vendor mixes it up with another."""
        if fault == "other-model":
            return replace(work, request=replace(work.request, model="somebody/else/entirely"))
        ref = "" if fault == "no-id" else f"{work.ref}-of-another"
        self.works[ref] = other = replace(work, ref=ref, request=replace(work.request, seconds=1.0))
        return other

    async def _fault(self, request: web.Request, fault: str) -> web.StreamResponse:
        if fault == "lost":
            abort(request)
        if fault == "hang":
            await self._never.wait()
        if fault.isdigit():
            return self._refuse(int(fault), "not now")
        return faulty(fault)

    # --- outputs ---

    def output_url(self, work: Work) -> str:
        """Where the video lies, or is said to lie."""
        return {
            "private": "http://10.0.0.1/private.mp4",
            "elsewhere": "https://elsewhere.example/video.mp4",
            "file": "file:///etc/passwd",
            "no-name": "https://xn--a.example/video.mp4",
        }.get(work.scenario.output, f"{self.url}/outputs/{work.ref}.mp4")

    def video(self, work: Work) -> bytes:
        """Returns the video of a task."""
        wanted, scenario = work.request, work.scenario
        seconds = scenario.video_s if scenario.video_s is not None else wanted.seconds
        sound = None if scenario.silent else wanted.sound
        made = make_video(wanted.picture, wanted.short_side, seconds, self._fps, sound)
        return padded(made, scenario.padding_bytes) if scenario.padding_bytes else made

    async def _output(self, request: web.Request) -> web.StreamResponse:
        self.counts["output"] += 1
        assert "authorization" not in request.headers, "the key went to where outputs lie"
        work = self.works[request.match_info["ref"]]
        how = work.scenario.outputs.pop(0) if work.scenario.outputs else work.scenario.output
        if how == "lost":
            abort(request)
        if how.isdigit():
            return web.Response(status=int(how), text="not here, not now")
        if how == "no-range" and "range" in request.headers:
            return web.Response(status=416)
        if how == "redirect":
            raise web.HTTPFound("http://10.0.0.1/private.mp4")
        if how == "no-video":
            return web.Response(text="<html>Please log in</html>", content_type="text/html")
        if how == "empty":
            return web.Response(body=b"", content_type="video/mp4")
        if how == "packed":
            return web.Response(body=b"\x1f\x8b", headers={"content-encoding": "gzip"})
        data = await asyncio.to_thread(self.video, work)
        work.cut += 1
        return await self._send(request, work, data, how)

    async def _send(self, request: web.Request, work: Work, data: bytes, how: str) -> web.StreamResponse:
        first = 0
        headers = {"etag": f'"{hashlib.sha256(data[:65_536]).hexdigest()[:16]}"', "content-type": "video/mp4"}
        if how == "huge":
            data = data + bytes(2_000_000)
        if how == "changed" and work.cut > 1:
            data = data[:40] + bytes(40) + data[80:]
        found = re.fullmatch(r"bytes=(\d+)-", request.headers.get("range", ""))
        if found and how not in ("cut-no-range", "changed"):
            first = int(found[1])
            headers["content-range"] = f"bytes {first}-{len(data) - 1}/{len(data)}"
        response = web.StreamResponse(status=206 if first else 200, headers=headers)
        response.content_length = len(data) - first
        await response.prepare(request)
        if how == "stall":
            await response.write(data[first : len(data) // 2])
            await self._never.wait()
        if how == "cut" or (how in ("cut-once", "cut-no-range", "changed") and work.cut == 1):
            await response.write(data[first : len(data) // 2])
            abort(request)
        if how == "slow":
            for start in range(first, len(data), 16_384):
                await response.write(data[start : start + 16_384])
                await asyncio.sleep(0.02)
            return response
        view, began = memoryview(data), time.monotonic()
        for start in range(first, len(data), PIECE_BYTES):  # at once, all of it would be copied first
            await response.write(view[start : start + PIECE_BYTES])
            if work.scenario.bytes_s:
                due_s = began + (start + PIECE_BYTES - first) / work.scenario.bytes_s
                await asyncio.sleep(due_s - time.monotonic())
        return response

    # --- control ---

    async def _tell_counts(self, request: web.Request) -> web.Response:
        return web.json_response(dict(self.counts))

    async def _take_scenario(self, request: web.Request) -> web.Response:
        try:
            self.scenario = Scenario.of(await request.json())
        except (ValueError, TypeError) as error:
            return web.Response(status=400, text=str(error))
        return web.Response(status=204)

    @asynccontextmanager
    async def running(self, port: int = 0) -> AsyncIterator["Simulator"]:
        """Answers on a port of 127.0.0.1, a free one if 0 is asked for."""
        runner = web.AppRunner(self.application, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, self.host, port)
        await site.start()
        self.port = int(runner.addresses[0][1])
        try:
            yield self
        finally:
            await self.stopping()
            await runner.cleanup()

    async def stopping(self) -> None:  # noqa: B027 - most have begun nothing
        """Ends what a simulator has begun by itself."""


def main(make: Callable[..., Simulator], default_port: int) -> None:
    """Runs a simulator as a program, until Ctrl-C."""
    parser = argparse.ArgumentParser(description="A simulated vendor, with real videos. It takes any key.")
    parser.add_argument("--port", type=int, default=default_port)
    parser.add_argument("--queue", type=float, default=2.0, help="seconds that a task waits")
    parser.add_argument("--work", type=float, default=6.0, help="seconds that a task takes")
    options = parser.parse_args()

    async def run() -> None:
        simulator = make(any_key=True)
        simulator.scenario = Scenario(queue_s=options.queue, work_s=options.work)
        simulator.keep_inputs = False  # nobody can look at them from another process
        async with simulator.running(options.port):
            print(f"{simulator.name} is simulated at {simulator.url}", flush=True)
            await asyncio.Event().wait()

    try:
        asyncio.run(run())
    except KeyboardInterrupt:
        return
