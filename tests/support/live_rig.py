"""A job whose fragments come one by one, before the real HTTP process, and a player of it."""

import asyncio
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import av
import httpx
import numpy as np
from google.protobuf.duration_pb2 import Duration
from i2v.v1 import job_pb2, live_pb2, live_pb2_grpc

from services.orchestrator.domain.spec import Size
from tests.support import hls_rules
from tests.support.builders import ScriptedBackend
from tests.support.served_orchestrator import Served, caller, text_spec
from tests.support.studio_rig import Rig


class Steps(asyncio.Event):
    """A gate that lets one fragment pass for each step."""

    def __init__(self) -> None:
        super().__init__()
        self._steps = asyncio.Semaphore(0)
        self.trouble: Exception | None = None
        """Raised once at the next step."""

    async def wait(self) -> Any:
        if not self.is_set():
            await self._steps.acquire()
        if self.trouble is not None:
            trouble, self.trouble = self.trouble, None
            raise trouble
        return True

    def set(self) -> None:
        super().set()
        self.step(1000)

    def clear(self) -> None:
        super().clear()
        self._steps = asyncio.Semaphore(0)

    def step(self, count: int = 1) -> None:
        for _ in range(count):
            self._steps.release()


def noise(count: int, size: Size, seed: int) -> np.ndarray:
    """(count, H, W, 3) uint8: fragments of some KB, as FFmpeg reads 2 KB before it looks at a file."""
    return np.random.default_rng(seed).integers(0, 256, (count, size.height, size.width, 3), np.uint8)


def stepped() -> tuple[ScriptedBackend, Steps]:
    """Returns a backend that makes a fragment, and waits after each for a step. A set gate lets all pass."""
    backend, gate = ScriptedBackend(), Steps()
    backend.gate, backend.frames = gate, noise
    return backend, gate


def live_calls(i2v: Served) -> Any:
    return live_pb2_grpc.LiveServiceStub(i2v.channel)


async def sign(i2v: Served, job: str, seconds: int = 0, **who: str) -> live_pb2.LiveUrl:
    request = live_pb2.SignLiveUrlRequest(name=job, **({"expire_in": Duration(seconds=seconds)} if seconds else {}))
    return await live_calls(i2v).SignLiveUrl(request, metadata=caller(**who))


async def submitted(rig: Rig, seconds: int = 2, **fields: Any) -> tuple[job_pb2.Job, str]:
    """Returns a job and its live URL."""
    job = await rig.i2v.submit(text_spec(seconds=seconds, **fields))
    return job, (await sign(rig.i2v, job.name)).url


async def ready(rig: Rig, job: job_pb2.Job, count: int) -> None:
    """Waits until so many fragments were announced."""
    async for event in rig.i2v.watch(job.name):
        if event.WhichOneof("event") == "fragment_ready" and event.fragment_ready.index == count - 1:
            return
    raise AssertionError("the job ended before")


async def media(http: httpx.AsyncClient, url: str) -> tuple[str, str]:
    """Returns the URL of the media playlist that a live URL names, and its text."""
    first = await http.get(url)
    assert (first.status_code, first.headers["content-type"]) == (200, "application/vnd.apple.mpegurl"), first.text
    where = str(httpx.URL(url).join(hls_rules.multivariant(first.text)[1]))
    found = await http.get(where)
    assert found.status_code == 200, found.text
    return where, found.text


async def parts(http: httpx.AsyncClient, where: str, text: str) -> list[tuple[bytes, bytes]]:
    """Returns the header and the bytes of each segment of a media playlist."""
    found = []
    for each in hls_rules.media(text).segments:
        init, data = [await http.get(str(httpx.URL(where).join(uri))) for uri in (each.init, each.uri)]
        assert (init.status_code, data.status_code) == (200, 200)
        found.append((init.content, data.content))
    return found


def played(url: str, seen: Callable[[int], None] = lambda frames: None) -> list[Fraction]:
    """Plays a URL with FFmpeg until its end, and returns when each picture is shown, in seconds. Blocks."""
    times: list[Fraction] = []
    # FFmpeg analyses five seconds of a stream first, unless it is asked not to.
    options = {"live_start_index": "0", "analyzeduration": "1", "fpsprobesize": "0"}
    with av.open(url, options=options, timeout=60) as opened:
        stream = opened.streams.video[0]
        for frame in opened.decode(stream):
            times.append(frame.pts * stream.time_base)
            seen(len(times))
    return times
