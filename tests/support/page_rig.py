"""A person before the page: Chromium by Playwright, signed in by a key."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]
from playwright.async_api import Browser, Page, async_playwright, expect

from tests.support.browser import CHROMIUM
from tests.support.live_rig import Steps
from tests.support.simulated_vendors import SimulatedVendors
from tests.support.studio_rig import Rig

WIDE, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
MICROPHONE = ("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream")
"""A microphone that beeps, and a person who allows it."""
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


@asynccontextmanager
async def a_browser() -> AsyncIterator[Browser]:
    """Starts Chromium, and ends it."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--no-proxy-server", *MICROPHONE]
        )
        try:
            yield browser
        finally:
            await browser.close()


class Person:
    """A page in a browser of its own, and what it complained of."""

    def __init__(self, page: Page, address: str) -> None:
        self.page, self.address = page, address
        self.complaints: list[str] = []
        page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        page.on("console", self._said)

    def _said(self, message: Any) -> None:
        # A browser writes each refused request as an error; the page shows these to the person.
        if message.type == "error" and "Failed to load resource" not in message.text and "net::" not in message.text:
            self.complaints.append(message.text)

    async def sign_in(self, key: str, user: str) -> None:
        """Signs in by the form."""
        await self.page.goto(f"{self.address}/sign-in")
        await self.page.get_by_label("API key").fill(key)
        await self.page.get_by_label("Name").fill(user)
        await self.page.get_by_role("button", name="Sign in").click()
        await self.ready()

    async def ready(self) -> None:
        """Waits until the page can be used."""
        await self.page.locator("html[data-ready]").wait_for(state="attached")

    async def until(self, expression: str) -> Any:
        """Waits until a script's value is true, and returns it. The page's policy forbids what waits in the page."""
        async with asyncio.timeout(30):
            while not (value := await self.page.evaluate(expression)):
                await self.page.wait_for_timeout(50)
        return value

    async def go(self, place: str) -> None:
        """Opens a place by its link."""
        await self.page.locator(f'[data-place="{place}"]').click()
        await expect(self.page.locator(f".view.{place}")).to_be_visible()

    async def faults(self) -> list[str]:
        """Returns what axe finds, a line for each element."""
        found = await Axe().run(self.page, options={"runOnly": RULES["runOnly"]})
        return [
            f"{each['id']}: {node['html']} {node['failureSummary']}"
            for each in found.response["violations"]
            for node in each["nodes"]
        ]


@asynccontextmanager
async def a_person(browser: Browser, address: str, **options: Any) -> AsyncIterator[Person]:
    """Opens a page in a context of its own. `options` are those of Playwright's contexts."""
    context = await browser.new_context(**{"viewport": WIDE, "reduced_motion": "no-preference"} | options)
    context.set_default_timeout(30_000)
    expect.set_options(timeout=30_000)
    try:
        yield Person(await context.new_page(), address)
    finally:
        await context.close()


async def picture_file(folder: Path, data: bytes, name: str = "cat.png") -> Path:
    """Writes a picture that can be chosen."""
    path = folder / name
    await asyncio.to_thread(path.write_bytes, data)
    return path


@dataclass(frozen=True, slots=True)
class Stage:
    """A running service whose fragments a test lets through, and a browser before it."""

    rig: Rig
    gate: Steps
    browser: Browser
    vendors: SimulatedVendors | None = None
