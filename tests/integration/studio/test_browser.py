"""A browser's <video> seeks in a signed URL."""

import asyncio
import os
import shutil
from fractions import Fraction
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import av
import numpy as np
import pytest

from tests.support.studio_rig import Rig

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SECONDS, RATE, SEEK_TO = 12, 10, 10.5
PAGE = """<!doctype html><video muted preload="metadata" src="URL"></video><script>
const video = document.querySelector("video");
const say = (what) => fetch("/result?what=" + encodeURIComponent(what));
video.onerror = () => say("error " + video.error.message);
video.onloadedmetadata = () => { video.currentTime = SEEK_TO; };
video.onseeked = () => say(`${video.currentTime} of ${video.duration}, ${video.videoWidth}x${video.videoHeight}`);
</script>"""


def a_long_video(path: Path) -> None:
    """Writes some MB of noise with the index at the end, so that a player must seek even to find the first frame."""
    noise = np.random.default_rng(1)
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libx264", rate=RATE, options={"preset": "ultrafast", "qp": "18", "g": "10"})
        stream.width, stream.height, stream.pix_fmt, stream.time_base = 320, 192, "yuv420p", Fraction(1, RATE)
        for index in range(SECONDS * RATE):
            frame = av.VideoFrame.from_ndarray(noise.integers(0, 256, (192, 320, 3), np.uint8), format="rgb24")
            frame.pts = index
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))


async def shown(folder: Path, url: str) -> str:
    """Opens a page with the video in a browser, and returns what its script says."""
    said: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        target = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
        if (what := parse_qs(urlsplit(target).query).get("what")) and not said.done():
            said.set_result(what[0])
        page = PAGE.replace("URL", url).replace("SEEK_TO", str(SEEK_TO)).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {len(page)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + page)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    assert CHROMIUM is not None
    browser = await asyncio.create_subprocess_exec(
        CHROMIUM,
        *("--headless", "--no-sandbox", "--disable-gpu", "--no-proxy-server", f"--user-data-dir={folder / 'browser'}"),
        *("--remote-debugging-port=0", f"http://127.0.0.1:{port}/"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        env={"PATH": os.environ["PATH"], "HOME": str(folder)},
    )
    try:
        async with asyncio.timeout(90):
            return await said
    finally:
        browser.terminate()
        await browser.wait()
        server.close()


@pytest.mark.skipif(CHROMIUM is None, reason="needs a browser: apt-get install chromium, then run this test again")
async def test_a_video_element_seeks_in_a_signed_url(rig: Rig, tmp_path: Path) -> None:
    file = tmp_path / "long.mp4"
    await asyncio.to_thread(a_long_video, file)
    data = file.read_bytes()
    assert len(data) > 4_000_000
    asset = await rig.i2v.upload(data, "video/*")
    said = await shown(tmp_path, await rig.url(asset.name))
    assert said == f"{SEEK_TO} of {SECONDS}, 320x192"
    counted = (await rig.http.get(rig.metrics)).text
    ranges = [line for line in counted.splitlines() if line.startswith("i2v_studio_requests_total") and '"206"' in line]
    assert ranges and float(ranges[0].split()[-1]) >= 2, counted
