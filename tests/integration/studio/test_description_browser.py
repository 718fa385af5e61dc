"""A browser shows the page of the HTTP API, wide and on a phone, light and dark, without a script."""

from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from services.studio.app import open_app
from services.studio.settings import Settings
from tests.integration.studio.test_share_browser import WIDTH, clean
from tests.support.browser import CHROMIUM, NO_BROWSER, a_tab

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason=NO_BROWSER)

BACKGROUND = "getComputedStyle(document.body).backgroundColor"
OPEN_ALL = "document.querySelectorAll('details').forEach(each => { each.open = true; })"
SHOWN = "document.getElementById('submitJob').getBoundingClientRect().top"
LIST = "getComputedStyle(document.querySelector('nav ul ul')).display"


async def test_the_page_fits_any_screen_and_its_policy_stops_only_scripts(tmp_path: Path) -> None:
    settings = Settings(listen="127.0.0.1:0", metrics_listen="", api="127.0.0.1:9")
    async with open_app(settings, registry=CollectorRegistry()) as app, a_tab(tmp_path) as tab:
        url = f"http://127.0.0.1:{app.port}/docs"
        await tab.show(url)
        light = await tab.value(BACKGROUND)
        assert await tab.value(LIST) == "block"
        await tab.show(f"{url}#submitJob", 390, 800, dark=True)
        assert await tab.value(BACKGROUND) != light
        assert await tab.value(LIST) == "none"
        assert 0 <= await tab.value(SHOWN) < 100
        await tab.value(OPEN_ALL)
        assert await tab.value(WIDTH) <= 390
        await clean(tab)
