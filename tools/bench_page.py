"""The page in a real Chromium: when it is usable on a cold cache, its bytes, and when a video that is being made moves.

`python -m tools.bench_page` starts an orchestrator with the fake backend and the HTTP process, and prints a table in
a minute. It needs Chromium. The floor of a load is the sign-in page, which has no script; the floor of the picture is
a bare page that appends the same fragment from memory and plays at once.
"""

import asyncio
import base64
import shutil
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx
from playwright.async_api import Browser, Page, async_playwright

from tools.bench_live import Service, service

LOADS, VIDEOS = 5, 8
USABLE_S, BYTES, MOVING_S = 1.0, 300_000, 0.5
SIZE = {"width": 1440, "height": 900}
WATCH = """(() => {
  window.seen = [];
  const at = () => performance.timeOrigin + performance.now();
  const look = () => {
    if (!window.usable && document.querySelector("form[data-ready]")) window.usable = performance.now();
    for (const video of document.querySelectorAll(".stage video, body > video")) {
      if (video.watched) continue;
      video.watched = true;
      window.seen = [];
      const shown = (now, {mediaTime}) => {
        window.seen.push([at(), mediaTime]);
        video.requestVideoFrameCallback(shown);
      };
      video.requestVideoFrameCallback(shown);
    }
  };
  new MutationObserver(look).observe(document, {childList: true, subtree: true, attributes: true});
})()"""
"""Notes when the form can be used, and when which picture of the newest video was shown, in ms since 1970."""
BARE = """async ([codecs, parts]) => {
  const bytes = parts.map(part => Uint8Array.from(atob(part), letter => letter.charCodeAt(0)));
  document.querySelector("video")?.remove();
  const video = Object.assign(document.createElement("video"), {muted: true});
  document.body.append(video);
  await new Promise(done => setTimeout(done, 100));
  const source = new MediaSource();
  const opened = new Promise(done => source.addEventListener("sourceopen", done, {once: true}));
  video.src = URL.createObjectURL(source);
  await opened;
  const buffer = source.addSourceBuffer(`video/mp4; codecs="${codecs}"`);
  const began = performance.timeOrigin + performance.now();
  for (const part of bytes) {
    const done = new Promise(done => buffer.addEventListener("updateend", done, {once: true}));
    buffer.appendBuffer(part);
    await done;
  }
  video.play();
  return began;
}"""


@asynccontextmanager
async def _context(browser: Browser, state: Any = None) -> AsyncIterator[Page]:
    context = await browser.new_context(viewport=SIZE, storage_state=state)  # type: ignore[arg-type]
    await context.add_init_script(WATCH)
    try:
        yield await context.new_page()
    finally:
        await context.close()


async def _measure(served: Service) -> bool:
    async with async_playwright() as playwright:
        arguments = ["--no-sandbox", "--no-proxy-server", "--autoplay-policy=no-user-gesture-required"]
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=arguments)
        async with _context(browser) as page:
            await page.goto(f"{served.address}/sign-in")
            await page.get_by_label("API key").fill(served.who[0][1].removeprefix("Bearer "))
            await page.get_by_label("Name").fill(served.who[1][1])
            await page.get_by_role("button", name="Sign in").click()
            await page.locator("form[data-ready]").wait_for()
            loads = await _loads(browser, served, await page.context.storage_state())
            return await _plays(browser, page, served) and loads


async def _loads(browser: Browser, served: Service, state: Any) -> bool:
    """Prints the rows of a cold load. Returns whether it is as wanted."""
    usable, floor, size, count = list[float](), list[float](), 0, 0
    for _ in range(LOADS):
        async with _context(browser, state) as page:
            await page.goto(f"{served.address}/sign-in", wait_until="load")
            floor.append(await page.evaluate("performance.getEntriesByType('navigation')[0].loadEventStart") / 1000)
        async with _context(browser, state) as page:
            await page.goto(f"{served.address}/")
            await page.locator("form[data-ready]").wait_for()
            usable.append(await page.evaluate("window.usable") / 1000)
            found = await page.evaluate(
                """performance.getEntriesByType("navigation").concat(performance.getEntriesByType("resource"))
                     .map(each => each.transferSize)"""
            )
            size, count = sum(found), len(found)
    _row("usable after the navigation began, cold", usable)
    _row("  floor: the sign-in page has loaded", floor)
    print(f"{size / 1000:.0f} kB in {count} answers before the first video")
    return _met("usable", max(usable) <= USABLE_S and size <= BYTES, f"{USABLE_S:.0f} s, {BYTES / 1000:.0f} kB")


async def _plays(browser: Browser, page: Page, served: Service) -> bool:
    """Prints the rows of a video that is being made. Returns whether it moves as soon as wanted."""
    shown, moving, floors = list[float](), list[float](), list[tuple[float, float]]()
    async with _context(browser) as bare:
        await bare.goto("about:blank")
        for number in range(VIDEOS):
            await page.get_by_label("Prompt").fill(f"wave {number}")
            await page.locator(".price:not([aria-busy]) .amount").wait_for()
            before = page.url
            await page.get_by_role("button", name="Make the video").click()
            await page.wait_for_url(lambda url, before=before: url != before)  # type: ignore[misc]
            job = f"jobs/{page.url.rpartition('/')[2]}"
            began = await asyncio.to_thread(lambda name: next(served.fragments(name))[0], job)
            first, second = await _two(page)
            if number:  # the first one has costs of its own
                shown.append(first - began)
                moving.append(second - began)
            await page.locator(".stage .state.good").wait_for()
            begins = await bare.evaluate(BARE, await _fragment(served.url(job))) / 1000
            floors.append(tuple(at - begins for at in await _two(bare)))
    _row("first picture after the first fragment", shown)
    _row("  floor: the same fragment, appended by a bare page", [first for first, _ in floors])
    _row("first moving picture after the first fragment", moving)
    _row("  floor: the same fragment, appended by a bare page that plays at once", [second for _, second in floors])
    return _met("moving", max(moving) <= MOVING_S, f"{MOVING_S * 1000:.0f} ms")


async def _two(page: Page) -> tuple[float, float]:
    """Returns when the first picture was shown, and when the next one was, in seconds since 1970."""
    while True:
        seen = await page.evaluate("window.seen")
        for (_, before), (at, after) in pairwise(seen):
            if after > before:
                return seen[0][0] / 1000, at / 1000
        await asyncio.sleep(0.02)


async def _fragment(url: str) -> list[Any]:
    """Returns the codecs of a live URL, its header and its first segment in base64."""
    async with httpx.AsyncClient(trust_env=False) as http:
        first = (await http.get(url)).raise_for_status().text
        where = urljoin(url, next(line for line in first.splitlines() if not line.startswith("#")))
        text = (await http.get(where)).text
        names = [text.partition('#EXT-X-MAP:URI="')[2].partition('"')[0]]
        names.append(next(line for line in text.splitlines() if line and not line.startswith("#")))
        parts = [base64.b64encode((await http.get(urljoin(where, name))).content).decode() for name in names]
    return [first.partition('CODECS="')[2].partition('"')[0], parts]


def _row(what: str, seconds: list[float]) -> None:
    middle = 1000 * statistics.median(seconds)
    print(f"{what}: median {middle:.0f} ms, longest {1000 * max(seconds):.0f} ms of {len(seconds)}")


def _met(what: str, fits: bool, wanted: str) -> bool:
    print(f"wanted: {what} within {wanted}: {'met' if fits else 'MISSED'}")
    return fits


def main() -> int:
    """Prints the table. Returns 1 if something is not as wanted."""
    with tempfile.TemporaryDirectory(prefix="i2v-bench-") as name, service(Path(name)) as served:
        return 0 if asyncio.run(_measure(served)) else 1


if __name__ == "__main__":
    sys.exit(main())
