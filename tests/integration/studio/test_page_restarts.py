"""The page while the service restarts, the connection breaks and the device sleeps: it says so, and loses nothing."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from i2v.v1 import job_pb2
from playwright.async_api import expect

from tests.support.browser import CHROMIUM, NO_BROWSER
from tests.support.live_rig import Steps, stepped
from tests.support.page_rig import a_browser, a_person
from tests.support.served_orchestrator import Served, caller, served
from tests.support.studio_rig import http_process
from tools.stack_process import HOST, free_port

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason=NO_BROWSER)

USER = "before-restarts"
CUT = {"offline": True, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}


@dataclass
class Parts:
    """An API and the HTTP process before it, each of which can end and begin again at the same address."""

    database: str
    folder: Path
    api_port: int = field(default_factory=free_port)
    port: int = field(default_factory=free_port)
    api: AsyncExitStack = field(default_factory=AsyncExitStack)
    http: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def start_api(self) -> tuple[Served, Steps]:
        backend, gate = stepped()

        def change(values: dict[str, Any]) -> None:
            values |= {"listen": f"{HOST}:{self.api_port}", "studio_url": f"http://{HOST}:{self.port}"}

        i2v = await self.api.enter_async_context(
            served(self.database, self.folder, {"test": (backend, 1)}, change=change)
        )
        return i2v, gate

    async def start_http(self) -> None:
        await self.http.enter_async_context(http_process(self.folder, self.port, f"{HOST}:{self.api_port}"))


@pytest.fixture
async def parts(database: str, tmp_path: Path) -> AsyncIterator[Parts]:
    made = Parts(database, tmp_path)
    try:
        yield made
    finally:
        await made.http.aclose()
        await made.api.aclose()


async def test_a_job_and_the_page_outlive_restarts_and_a_sleep(parts: Parts) -> None:
    i2v, gate = await parts.start_api()
    await parts.start_http()
    async with a_browser() as browser, a_person(browser, f"http://{HOST}:{parts.port}") as person:
        page, state = person.page, person.page.locator(".stage .state")
        banner = page.locator("#banner")
        await person.sign_in("studio-key", USER)
        await page.get_by_role("radio", name="Text to video").check()
        await page.get_by_role("radio", name="2 s").check()
        await page.get_by_label("Prompt").fill("a wave comes")
        await page.get_by_role("button", name="Make the video").click()
        gate.step(1)
        await person.until("document.querySelector('.stage video')?.currentTime > 0")
        await page.get_by_label("Prompt").fill("a draft")

        await parts.api.aclose()
        await expect(banner).to_contain_text("The service is away")
        assert await person.faults() == []
        await expect(state).to_have_text("Being made")
        i2v, gate = await parts.start_api()
        await expect(banner).to_be_empty()

        await parts.http.aclose()
        await expect(banner).to_contain_text("No connection")
        await parts.start_http()
        await expect(banner).to_be_empty()

        session = await page.context.new_cdp_session(page)
        await session.send("Page.setWebLifecycleState", {"state": "frozen"})
        await session.send("Network.enable")
        await session.send("Network.emulateNetworkConditions", CUT)
        gate.set()
        [job] = [each async for each in jobs(i2v)]
        assert (await i2v.ended(job, user=USER)).charged.amount_micros == 2000
        await session.send("Network.emulateNetworkConditions", CUT | {"offline": False})
        await session.send("Page.setWebLifecycleState", {"state": "active"})
        await expect(state).to_have_text("Ready")
        await expect(page.locator(".stage .job-title")).to_have_text("a wave comes")
        await person.until("document.querySelector('.stage video')?.duration === 2")
        await expect(page.get_by_label("Prompt")).to_have_value("a draft")
        await expect(banner).to_be_empty()
        await expect(page.locator(".strip li")).to_have_count(1)
        assert [each async for each in jobs(i2v)] == [job]
        assert person.complaints == []


async def jobs(i2v: Served) -> AsyncIterator[str]:
    """Yields the names of the person's jobs."""
    for each in (await i2v.jobs.ListJobs(job_pb2.ListJobsRequest(), metadata=caller(user=USER))).jobs:
        yield each.name
