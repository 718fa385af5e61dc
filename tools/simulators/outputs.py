"""The videos of a simulated vendor: where they are, what they show, and the ways in which a download fails."""

import asyncio
import hashlib
import re
import time
from collections import Counter
from collections.abc import Mapping

from aiohttp import web

from tools.simulators.faults import abort, padded
from tools.simulators.task import Work
from tools.simulators.video import make_video

PIECE_BYTES = 256 * 1024
"""Bytes of a video that are written at a time."""


class Outputs:
    """Serves the videos of tasks."""

    def __init__(self, works: Mapping[str, Work], counts: Counter[str], fps: int) -> None:
        self._works = works
        self._counts = counts
        self._fps = fps
        self._never = asyncio.Event()

    def url(self, work: Work, base: str) -> str:
        """Returns the URL of the video, or one that the provider must refuse."""
        return {
            "private": "http://10.0.0.1/private.mp4",
            "elsewhere": "https://elsewhere.example/video.mp4",
            "file": "file:///etc/passwd",
            "no-name": "https://xn--a.example/video.mp4",
        }.get(work.scenario.output, f"{base}/outputs/{work.ref}.mp4")

    def video(self, work: Work) -> bytes:
        """Returns the video of a task."""
        wanted, scenario = work.request, work.scenario
        seconds = scenario.video_s if scenario.video_s is not None else wanted.seconds
        sound = None if scenario.silent else wanted.sound
        made = make_video(wanted.picture, wanted.short_side, seconds, self._fps, sound)
        return padded(made, scenario.padding_bytes) if scenario.padding_bytes else made

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answers a request for a video, or does what the scenario requests."""
        self._counts["output"] += 1
        assert "authorization" not in request.headers, "the key was sent to the host of the outputs"
        work = self._works[request.match_info["ref"]]
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
        for start in range(first, len(data), PIECE_BYTES):  # in one piece, all of it would be copied first
            await response.write(view[start : start + PIECE_BYTES])
            if work.scenario.bytes_s:
                due_s = began + (start + PIECE_BYTES - first) / work.scenario.bytes_s
                await asyncio.sleep(due_s - time.monotonic())
        return response
