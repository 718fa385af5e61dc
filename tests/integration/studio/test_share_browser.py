"""A browser shows the pages of shares, plays and seeks in their videos, and opens them with a pass phrase."""

import asyncio
from pathlib import Path

import pytest

from tests.integration.studio.test_browser import SECONDS, SEEK_TO, a_long_video
from tests.support import pictures
from tests.support.blob_stores import until
from tests.support.browser import CHROMIUM, NO_BROWSER, Tab, a_tab
from tests.support.shared_links import Links
from tests.support.studio_rig import Rig

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason=NO_BROWSER)

SEEK = f"""new Promise((done, fail) => {{
    const video = document.querySelector("video");
    video.onerror = () => fail(video.error.message);
    video.onseeked = () => done(`${{video.currentTime}} of ${{video.duration}}, ${{video.videoWidth}}`);
    const seek = () => {{ video.currentTime = {SEEK_TO}; }};
    video.readyState ? seek() : video.onloadedmetadata = seek;
}})"""
LOADED = "[...document.images].filter(image => image.complete && image.naturalWidth > 0).length"
SCRIPT = """{ const script = document.createElement("script");
script.textContent = "window.ran = 'yes'"; document.body.append(script); }"""
WIDTH = "document.documentElement.scrollWidth"


async def clean(tab: Tab) -> None:
    """Fails if the policy of a page forbids a part of it, or allows a script."""
    assert await tab.value("document.scripts.length") == 0
    assert not tab.forbidden()
    await tab.value(SCRIPT)
    assert await tab.value("window.ran ?? 'no'") == "no"
    assert tab.forbidden()


async def test_the_video_of_a_share_seeks_in_its_page_and_no_policy_stops_it(rig: Rig, tmp_path: Path) -> None:
    file = tmp_path / "long.mp4"
    await asyncio.to_thread(a_long_video, file)
    asset = await rig.i2v.upload(file.read_bytes(), "video/*")
    share = await Links(rig.i2v).make(asset=asset.name)
    async with a_tab(tmp_path) as tab:
        await tab.show(share.url)
        assert await tab.value(SEEK) == f"{SEEK_TO} of {SECONDS}, 320"
        await clean(tab)
        assert await tab.value("getComputedStyle(document.querySelector('video')).borderRadius") == "8px"


async def test_a_phone_shows_a_collection_after_its_pass_phrase_was_typed(rig: Rig, tmp_path: Path) -> None:
    links = Links(rig.i2v)
    names = [(await rig.i2v.upload(pictures.a_picture(200 + number, 150))).name for number in range(6)]
    album = await links.collection("Крыши " + "roofs" * 40, *names)
    share = await links.make(collection=album, pass_phrase="under the roof")
    async with a_tab(tmp_path) as tab:
        await tab.show(share.url, 390, 800, dark=True)
        assert await tab.value(WIDTH) <= 390
        dark = await tab.value("getComputedStyle(document.body).backgroundColor")
        await tab.value("document.querySelector('input').value = 'under the roof'")
        await tab.value("document.querySelector('button').click()")

        async def loaded() -> bool:
            try:
                return bool(await tab.value(LOADED) == 6)
            except AssertionError:  # the page has just gone, and the next one comes
                return False

        await until(loaded)
        assert await tab.value("location.href") == share.url
        assert await tab.value(WIDTH) <= 390
        assert await tab.value("document.cookie") == "", "no script can read it"
        await clean(tab)
        await tab.show(share.url)
        assert await tab.value("getComputedStyle(document.body).backgroundColor") != dark
        assert await tab.value("document.images.length") == 6
