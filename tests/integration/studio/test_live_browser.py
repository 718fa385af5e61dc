"""A browser plays a live URL from a page of another origin: by Media Source Extensions, by hls.js, and by itself."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.browser import CHROMIUM, NO_BROWSER, Tab, a_tab
from tests.support.live_rig import Steps, media, ready, stepped, submitted
from tests.support.studio_rig import Rig, before_an_api

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason=NO_BROWSER)

HLS_JS = os.environ.get("I2V_TEST_HLS_JS", "")
"""The file `hls.min.js` of the package hls.js."""
NO_HLS_JS = "needs hls.js: npm pack hls.js, and I2V_TEST_HLS_JS=dist/hls.min.js"
PICTURES = """
window.seen = [];
const video = Object.assign(document.createElement("video"), {muted: true});
document.body.append(video);
video.onerror = () => seen.push("error " + video.error.message);
video.requestVideoFrameCallback(function noted(now, frame) {
  seen.push(frame.mediaTime); video.requestVideoFrameCallback(noted);
});
"""
BY_MSE = """(async () => {
  const source = new MediaSource(), opened = new Promise(done => source.onsourceopen = done);
  video.src = URL.createObjectURL(source);
  await opened;
  const buffer = source.addSourceBuffer('video/mp4; codecs="CODECS"');
  const add = async (uri) => {
    const data = await (await fetch(new URL(uri, WHERE))).arrayBuffer();
    const done = new Promise(done => buffer.onupdateend = done);
    buffer.appendBuffer(data);
    await done;
  };
  const lines = (await (await fetch(WHERE)).text()).split("\\n");
  for (const line of lines) {
    if (line.startsWith("#EXT-X-MAP")) await add(line.match(/URI="([^"]+)"/)[1]);
    if (line && !line.startsWith("#")) await add(line);
  }
  source.endOfStream();
  return [buffer.buffered.length, buffer.buffered.start(0), buffer.buffered.end(0), video.videoWidth, video.error];
})()"""
BY_HLS_JS = """(() => {
  const hls = new Hls();
  hls.on(Hls.Events.ERROR, (_, data) => { if (data.fatal) seen.push("error " + data.details); });
  hls.loadSource(ADDRESS);
  hls.attachMedia(video);
  video.play();
})()"""
BY_ITSELF = """(() => {
  if (!video.canPlayType("application/vnd.apple.mpegurl")) return false;
  video.src = ADDRESS;
  video.play();
  return true;
})()"""


@pytest.fixture
async def page(database: str, tmp_path: Path) -> AsyncIterator[tuple[Rig, Steps, Tab]]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\nConnection: close\r\n\r\n<body>"
        )
        await writer.drain()
        writer.close()

    backend, gate = stepped()
    async with before_an_api(database, tmp_path, backend) as rig, a_tab(tmp_path) as tab:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        await tab.show(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
        await tab.value(PICTURES)
        yield rig, gate, tab
        gate.set()
        server.close()


async def pictures(tab: Tab, count: int) -> list[float]:
    """Waits until so many pictures were shown, and returns when, in seconds of the video."""
    while True:
        seen = await tab.value("seen")
        assert not [each for each in seen if isinstance(each, str)], seen
        if len(set(seen)) >= count:
            return sorted(set(seen))
        await asyncio.sleep(0.1)


async def play_while_it_is_made(page: tuple[Rig, Steps, Tab], script: str, made: int = 1) -> None:
    """Begins to play behind so many fragments, and shows the rest as it comes."""
    rig, gate, tab = page
    job, url = await submitted(rig)
    gate.step(made - 1)
    await ready(rig, job, made)
    await tab.value(script.replace("ADDRESS", json.dumps(url)))
    first = await pictures(tab, 1)
    assert first[0] < 0.5  # the beginning, while the job waits
    gate.set()
    await rig.i2v.ended(job.name)
    await tab.value("new Promise(done => video.ended ? done(1) : video.onended = () => done(1))")
    # A busy browser leaves pictures out.
    assert (await pictures(tab, 2))[-1] >= 1.5
    assert await tab.value("[video.duration, video.videoWidth, video.videoHeight]") == [2, 64, 32]


async def test_a_page_appends_header_and_segments_without_a_gap(page: tuple[Rig, Steps, Tab]) -> None:
    rig, gate, tab = page
    job, url = await submitted(rig)
    gate.set()
    await rig.i2v.ended(job.name)
    where, _ = await media(rig.http, url)
    codecs = (await rig.http.get(url)).text.partition('CODECS="')[2].partition('"')[0]
    assert await tab.value(f"MediaSource.isTypeSupported('video/mp4; codecs=\"{codecs}\"')")
    script = BY_MSE.replace("CODECS", codecs).replace("WHERE", json.dumps(where))
    assert await tab.value(script) == [1, 0, 2, 64, None]


@pytest.mark.skipif(not HLS_JS, reason=NO_HLS_JS)
async def test_hls_js_plays_a_video_while_it_is_made(page: tuple[Rig, Steps, Tab]) -> None:
    await page[2].value(await asyncio.to_thread(Path(HLS_JS).read_text))
    await play_while_it_is_made(page, BY_HLS_JS)


async def test_a_browser_that_knows_hls_plays_a_live_url_as_it_is(page: tuple[Rig, Steps, Tab]) -> None:
    if not await page[2].value("!!video.canPlayType('application/vnd.apple.mpegurl')"):
        pytest.skip("this browser needs a script for HLS")
    # Chromium takes a playlist that grows only from its third segment on.
    await play_while_it_is_made(page, BY_ITSELF, made=3)
