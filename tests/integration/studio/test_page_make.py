"""A person makes a video by the page: signs in, drops a picture, sees the price, and watches while it is made."""

import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from tests.support.browser import CHROMIUM, NO_BROWSER
from tests.support.live_rig import Steps, stepped
from tests.support.page_rig import PHONE, Person, a_browser, a_person, picture_file
from tests.support.studio_rig import PICTURE, Rig, before_an_api

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason=NO_BROWSER)
KEY = "studio-key"
HOSTILE = '<img src=x onerror="window.hit=1">"><script>window.hit=1</script>'


@pytest.fixture(scope="module")
async def stage(shared_database: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Rig, Steps, Browser]]:
    backend, gate = stepped()
    gate.set()
    async with (
        before_an_api(shared_database, tmp_path_factory.mktemp("page"), backend) as rig,
        a_browser() as browser,
    ):
        yield rig, gate, browser
        gate.set()


@pytest.fixture
async def person(stage: tuple[Rig, Steps, Browser]) -> AsyncIterator[Person]:
    rig, _, browser = stage
    async with a_person(browser, rig.address) as made:
        await made.sign_in(KEY, f"user-{uuid.uuid4().hex[:12]}")
        yield made
        assert made.complaints == []


async def test_a_dropped_picture_becomes_a_video_that_plays(person: Person, tmp_path: Path) -> None:
    page = person.page
    await expect(page.get_by_role("heading", name="Make a video")).to_be_visible()
    await page.locator('.picture input[type="file"]').set_input_files(await picture_file(tmp_path, PICTURE))
    await expect(page.get_by_text("cat.png ·")).to_be_visible()
    await page.get_by_label("Prompt").fill("the cat turns its head")
    await expect(page.locator(".amount")).to_have_text("$0.001 · 8 frames")
    await page.get_by_role("button", name="Make the video").click()
    await expect(page.locator(".stage .state")).to_have_text("Ready")
    await expect(page.get_by_role("link", name="Download")).to_be_visible()
    await person.until("document.querySelector('video').currentTime > 0")
    assert await person.faults() == []
