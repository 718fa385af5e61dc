"""A browser signs in by keyboard and by a link, and another origin's page cannot use its cookie."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, async_playwright

from tests.support.browser import CHROMIUM, NO_BROWSER
from tests.support.signed_in import KEY, sign_in_link
from tests.support.studio_rig import Rig

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason=NO_BROWSER)

PHONE, WIDE = {"width": 390, "height": 844}, {"width": 1440, "height": 900}
MS = 30_000
READ = """async address => { try { return (await fetch(address, {credentials: 'include'})).status; }
catch (error) { return error.name; } }"""


@asynccontextmanager
async def a_page(width: dict[str, int] = WIDE, scheme: str = "light") -> AsyncIterator[Page]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--no-proxy-server"])
        context = await browser.new_context(viewport=width, color_scheme=scheme)  # type: ignore[arg-type]
        page = await context.new_page()
        page.set_default_timeout(MS)
        try:
            yield page
        finally:
            await browser.close()


@contextmanager
def another_origin(html: str) -> Iterator[str]:
    """Serves a page on another port of the same host: another origin, for which browsers call the site the same."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(html.encode())

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()


async def test_a_person_signs_in_and_out_by_keyboard_and_no_script_sees_the_cookie(own: Rig) -> None:
    async with a_page() as page:
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        await page.goto(f"{own.address}/")
        assert page.url == f"{own.address}/sign-in"
        await focused(page, "INPUT")
        await page.keyboard.type("a wrong key")
        await page.keyboard.press("Tab")
        await page.keyboard.type(own.user)
        await page.keyboard.press("Enter")
        await page.get_by_role("alert").wait_for()
        assert await page.get_by_label("API key").input_value() == ""
        assert await page.get_by_label("Name").input_value() == own.user
        await focused(page, "INPUT")
        assert await page.evaluate("document.activeElement.id") == "key"
        await page.keyboard.type(KEY)
        await page.keyboard.press("Enter")
        await page.wait_for_url(f"{own.address}/")
        assert await page.evaluate("document.cookie") == ""
        assert await page.evaluate(READ, f"{own.address}/v1/jobs") == 200
        assert KEY not in await page.content()
        await page.evaluate("document.forms[0].requestSubmit()")
        await page.wait_for_url(f"{own.address}/sign-in")
        await page.goto(f"{own.address}/")
        assert page.url == f"{own.address}/sign-in"
        assert not [text for text in said if "Content Security Policy" in text]


async def test_a_link_signs_in_after_a_press_of_enter(own: Rig) -> None:
    made = await sign_in_link(own)
    async with a_page(PHONE) as page:
        await page.goto(made.url)
        await focused(page, "BUTTON")
        await page.keyboard.press("Enter")
        await page.wait_for_url(f"{own.address}/")
        await page.goto(made.url)
        await page.get_by_role("button", name="Continue").click()
        await page.get_by_role("heading", name="This link does not work").wait_for()


async def test_a_page_of_another_origin_reads_nothing_changes_nothing_and_frames_nothing(own: Rig) -> None:
    async with a_page() as page:
        await page.goto((await sign_in_link(own)).url)
        await focused(page, "BUTTON")
        await page.keyboard.press("Enter")
        await page.wait_for_url(f"{own.address}/")
        evil = (
            f'<form method="post" action="{own.address}/sign-out"></form>'
            f'<img id="image" src="{own.address}/v1/jobs"><iframe id="frame" src="{own.address}/"></iframe>'
        )
        with another_origin(evil) as address:
            await page.goto(address)
            assert await page.evaluate(READ, f"{own.address}/v1/jobs") == "TypeError"
            post = "method: 'POST', credentials: 'include', mode: 'no-cors', body: '{}'"
            await page.evaluate(f"fetch('{own.address}/v1/jobs', {{{post}}})")
            assert await page.evaluate("document.getElementById('frame').contentDocument") is None
            [frame] = [each for each in page.frames if each is not page.main_frame]
            assert frame.url.startswith("chrome-error:")
            await page.evaluate("document.forms[0].submit()")
            await page.wait_for_url(f"{own.address}/sign-out")
        await page.goto(f"{own.address}/")
        assert await page.evaluate(READ, f"{own.address}/v1/jobs") == 200, "still signed in"


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_sign_in_pages_fit_a_phone_and_have_no_fault_that_axe_finds(
    own: Rig, tmp_path: Path, scheme: str
) -> None:
    link = await sign_in_link(own)
    async with a_page(WIDE, scheme) as page:
        for number, path in enumerate(("/sign-in", "/sign-in/broken", link.url.removeprefix(own.address))):
            await page.goto(own.address + path)
            await checked(page, tmp_path / f"{number}.png")
        await page.goto(f"{own.address}/sign-in")
        await page.get_by_label("API key").fill("wrong")
        await page.keyboard.press("Enter")
        await page.get_by_role("alert").wait_for()
        await checked(page, tmp_path / "wrong.png")


async def checked(page: Page, picture: Path) -> None:
    for size in (WIDE, PHONE):
        await page.set_viewport_size(size)  # type: ignore[arg-type]
        assert await page.evaluate("document.documentElement.scrollWidth") <= size["width"]
        await page.screenshot(path=picture.with_stem(f"{picture.stem}-{size['width']}"))
    found = await Axe().run(page)
    assert not found.response["violations"], await asyncio.to_thread(found.generate_report)


async def focused(page: Page, tag: str) -> None:
    """Waits until the page has put the focus where a person begins."""
    await page.wait_for_function("tag => document.activeElement.tagName == tag", arg=tag)
