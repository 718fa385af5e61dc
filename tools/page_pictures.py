"""Pictures of the page for the documentation: `python -m tools.page_pictures`, with `make run` in another terminal.

It signs in with the development key, makes two videos from a picture, and writes what each place looks like to
`docs/page`: wide and as on a phone, light and dark. It needs Chromium.
"""

import argparse
import asyncio
import io
import shutil
import time
from pathlib import Path

from PIL import Image
from playwright.async_api import Browser, Page, async_playwright, expect

FOLDER = Path("docs/page")
PICTURE = Path("tests/golden/cat-large.jpg")
WIDE, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
MOST_BYTES = 200_000
COLOURS = (256, 128, 96, 64)
READY_MS = 300_000
"""Milliseconds that a video may take on a busy machine."""


async def main(url: str, key: str) -> None:
    """Makes the pictures."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = await _signed_in(browser, url, key, "light", WIDE)
        usable = await page.evaluate("performance.now()")
        print(f"usable {usable:.0f} ms after the navigation began")
        await _make(page)
        for place in ("history", "compare", "library", "usage"):
            await _shown(page, place)
        page = await _signed_in(browser, url, key, "dark", WIDE)
        await page.locator(".stage .state").wait_for()
        await _write(page, "make-dark")
        page = await _signed_in(browser, url, key, "light", PHONE)
        await page.locator(".stage .state").wait_for()
        await _write(page, "make-phone")
        await page.locator('[data-place="library"]').click()
        await page.locator(".tile").first.wait_for()
        await _write(page, "library-phone")
        await browser.close()


async def _make(page: Page) -> None:
    await page.locator('.picture input[type="file"]').set_input_files(PICTURE)
    await page.get_by_text(f"{PICTURE.name} ·").wait_for()
    for prompt in ("the camera pans slowly to the left", "the camera moves closer to the cat"):
        await page.get_by_label("Prompt").fill(prompt)
        await page.get_by_role("radio", name="3 s").check()
        await expect(page.locator(".amount")).to_contain_text("$")
        await page.get_by_role("button", name="Make the video").click()
        await page.get_by_text("frames ·").first.wait_for(timeout=READY_MS)
        if prompt.endswith("left"):
            began = time.monotonic()
            await _played(page, 0.02)
            print(f"a moving picture {time.monotonic() - began:.2f} s after the first frames were counted")
            await _played(page, 0.3)
            await page.evaluate("scrollTo(0, 0)")
            await _write(page, "make-live")
        await expect(page.locator(".stage .state")).to_have_text("Ready", timeout=READY_MS)
    await page.evaluate("scrollTo(0, 0)")
    await _write(page, "make")


async def _played(page: Page, seconds: float) -> None:
    while not await page.evaluate(f"document.querySelector('.stage video').currentTime > {seconds}"):
        await page.wait_for_timeout(20)


async def _shown(page: Page, place: str) -> None:
    await page.locator(f'[data-place="{place}"]').click()
    await page.locator(f".view.{place}").wait_for()
    await page.wait_for_load_state("networkidle")
    await asyncio.sleep(1)
    await _write(page, place)


async def _signed_in(browser: Browser, url: str, key: str, scheme: str, size: dict[str, int]) -> Page:
    context = await browser.new_context(viewport=size, color_scheme=scheme)  # type: ignore[arg-type]
    page = await context.new_page()
    await page.goto(f"{url}/sign-in")
    await page.get_by_label("API key").fill(key)
    await page.get_by_role("button", name="Sign in").click()
    await page.locator("form[data-ready]").wait_for()
    await page.locator(".price-lines p").first.wait_for()
    return page


async def _write(page: Page, name: str) -> None:
    """Writes a PNG with as many colours as fit."""
    shot = Image.open(io.BytesIO(await page.screenshot())).convert("RGB")
    for colours in COLOURS:
        data = io.BytesIO()
        shot.quantize(colours, dither=Image.Dither.NONE).save(data, "PNG", optimize=True)
        if data.tell() < MOST_BYTES:
            break
    await asyncio.to_thread((FOLDER / f"{name}.png").write_bytes, data.getvalue())
    print(f"{FOLDER / name}.png: {data.tell():,} bytes")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:50080")
    parser.add_argument("--key-file", type=Path, default=Path("var/dev-key"))
    given = parser.parse_args()
    asyncio.run(main(given.url, given.key_file.read_text().strip()))
