"""A simulated vendor: the server, the submissions and states of tasks, the faults, the counts, the control.

`POST /control/scenario` takes a Scenario as JSON; `GET /control/counts` returns the number of requests of each kind.
"""

import argparse
import asyncio
import base64
import itertools
import json
import re
import secrets
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from aiohttp import web

from tools.simulators.faults import abort, faulty, half
from tools.simulators.outputs import Outputs
from tools.simulators.scenario import Scenario
from tools.simulators.task import Refusal, Request, Work

DATA_URI = re.compile(r"data:([\w/+.-]+);base64,")
MIXED = ("no-id", "other-task", "other-failed", "other-model")
"""Polls that are answered for another task."""


class Simulator(ABC):
    """One vendor. The abstract methods are the differences between vendors."""

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
        """Whether `submitted` grows; a thousand tasks with pictures would need a gigabyte."""
        self.host = "127.0.0.1"
        self.port = 0
        self._any_key = any_key
        self._run = secrets.token_hex(4)
        self._ids = itertools.count(1)
        self._never = asyncio.Event()
        self.arrived = asyncio.Event()
        """A submission that is held has arrived."""
        self.held = asyncio.Event()
        """Lets it continue."""
        self.outputs = Outputs(self.works, self.counts, fps)
        self.application = web.Application(client_max_size=200_000_000)
        self.application.router.add_get("/outputs/{ref}.mp4", self.outputs.handle)
        self.application.router.add_get("/control/counts", self._get_counts)
        self.application.router.add_post("/control/scenario", self._set_scenario)
        self.add_routes()

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def paid(self) -> int:
        """Number of the requests that cost money."""
        return self.counts["submit"]

    def release(self) -> None:
        """Lets every task continue that its scenario keeps in a state."""
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
        """Status and text of a refusal by its kind: `moderation`, `bad-key`, `no-credit`."""

    @abstractmethod
    def acceptance(self, work: Work) -> dict[str, Any]: ...

    # --- submissions ---

    async def submit(self, request: web.Request, read: Callable[[dict[str, Any]], Request]) -> web.StreamResponse:
        """Accepts a submission, or does what the scenario requests."""
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
            text = json.dumps(json.loads(response.text or ""), ensure_ascii=False)
            encoding = self.scenario.encoding.replace("raw", "utf-8")
            response.body = text.encode(encoding, errors="surrogatepass")
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
            raise Refusal(400, "an input is not encoded as this model requires")
        return base64.b64decode(value[found.end() :] if found else value, validate=True)

    # --- polls ---

    async def poll(self, request: web.Request, answer: Callable[[Work, str], web.Response]) -> web.StreamResponse:
        """Answers a poll of a task, or does what the scenario requests."""
        self.counts["poll"] += 1
        if not self.is_known(request):
            return self._refuse(*self.words_of("bad-key"))
        work = self.works.get(request.match_info["ref"])
        if work is None:
            return self.refusal(404, "not found")
        if work.scenario.polls and (fault := work.scenario.polls.pop(0)):
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

    def output_url(self, work: Work) -> str:
        """Returns the URL of the video, or one that the provider must refuse."""
        return self.outputs.url(work, self.url)

    def video(self, work: Work) -> bytes:
        """Returns the video of a task."""
        return self.outputs.video(work)

    # --- control ---

    async def _get_counts(self, request: web.Request) -> web.Response:
        return web.json_response(dict(self.counts))

    async def _set_scenario(self, request: web.Request) -> web.Response:
        try:
            self.scenario = Scenario.of(await request.json())
        except (ValueError, TypeError) as error:
            return web.Response(status=400, text=str(error))
        return web.Response(status=204)

    @asynccontextmanager
    async def running(self, port: int = 0) -> AsyncIterator["Simulator"]:
        """Answers on a port of 127.0.0.1, a free one if `port` is 0."""
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
        """Ends the background tasks of a simulator."""


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
        simulator.keep_inputs = False  # another process cannot read them
        async with simulator.running(options.port):
            print(f"{simulator.name} is simulated at {simulator.url}", flush=True)
            await asyncio.Event().wait()

    try:
        asyncio.run(run())
    except KeyboardInterrupt:
        return
