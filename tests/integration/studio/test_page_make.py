"""A person makes videos by the page: with a picture and a price, watched while they are made, stopped, found again."""

from pathlib import Path

import pytest
from playwright.async_api import expect

from tests.support.browser import CHROMIUM, NO_BROWSER
from tests.support.page_rig import PHONE, Person, Stage, a_person, picture_file
from tests.support.studio_rig import PICTURE

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason=NO_BROWSER)


async def order(person: Person, prompt: str = "a wave comes", seconds: int = 2) -> None:
    """Orders a video from a text, with a click on its price's button."""
    page = person.page
    await page.get_by_role("radio", name="Text to video").check()
    await page.get_by_role("radio", name=f"{seconds} s").check()
    await page.get_by_label("Prompt").fill(prompt)
    await expect(page.locator(".amount")).to_have_text(f"$0.00{seconds} · {8 * seconds} frames")
    await page.get_by_role("button", name="Make the video").click()
    await expect(page.locator(".stage .job-title")).to_have_text(prompt)


async def state(person: Person, expected: str) -> None:
    await expect(person.page.locator(".stage .state")).to_have_text(expected)


async def test_a_picture_and_a_prompt_become_a_video_at_the_price_that_was_shown(
    person: Person, tmp_path: Path
) -> None:
    page = person.page
    await page.locator('.picture input[type="file"]').set_input_files(await picture_file(tmp_path, PICTURE))
    await expect(page.get_by_text("cat.png ·")).to_be_visible()
    await expect(page.locator(".cut")).to_be_visible()  # what will be cut off
    await page.get_by_role("radio", name="All of it, with bars").check()
    await expect(page.locator(".picture-frame.pad")).to_be_visible()
    await page.get_by_role("button", name="The character turns their head and smiles").click()
    await expect(page.locator(".amount")).to_have_text("$0.001 · 8 frames")
    await expect(page.get_by_text("$0.499 left afterwards")).to_be_visible()
    await page.get_by_role("button", name="Make the video").click()
    await state(person, "Ready")
    await expect(page.locator(".facts")).to_contain_text("$0.001")
    await person.until("document.querySelector('.stage video').duration === 1")
    async with page.expect_download() as coming:
        await page.get_by_role("link", name="Download").click()
    assert (await coming.value).suggested_filename == "The character turns their head and smiles.mp4"
    await page.get_by_role("button", name="Check the signature").click()
    await expect(page.get_by_text("Genuine: made here, and unchanged since")).to_be_visible()


async def test_a_dropped_picture_is_taken_and_a_pasted_one_replaces_it(person: Person) -> None:
    give = """async ([kind, name, data]) => {
      const transfer = new DataTransfer();
      transfer.items.add(new File([Uint8Array.from(data)], name, {type: "image/png"}));
      if (kind == "drop") document.querySelector(".picture")
        .dispatchEvent(new DragEvent("drop", {dataTransfer: transfer, bubbles: true, cancelable: true}));
      else document.dispatchEvent(new ClipboardEvent("paste", {clipboardData: transfer, bubbles: true}));
    }"""
    await person.page.locator("form[data-ready]").wait_for()
    for kind, name in (("drop", "dropped.png"), ("paste", "pasted.png")):
        await person.page.evaluate(give, [kind, name, list(PICTURE)])
        await expect(person.page.get_by_text(f"{name} ·")).to_be_visible()


async def test_a_video_plays_while_it_is_made_and_stops_on_request(person: Person, stage: Stage) -> None:
    stage.gate.clear()
    try:
        await order(person)
        stage.gate.step(1)
        await state(person, "Being made")
        await person.until("document.querySelector('.stage video').currentTime > 0.2")
        await expect(person.page.get_by_role("progressbar", name="Progress of the video")).to_have_attribute(
            "aria-valuenow", "50"
        )
        await expect(person.page.locator(".progress")).to_contain_text("8 frames")
        await person.page.get_by_role("button", name="Stop", exact=True).click()
        stage.gate.step(4)
        await state(person, "Stopped")
        await expect(person.page.locator("#live")).to_contain_text("The video was stopped. It cost $0.00")
    finally:
        stage.gate.set()


async def test_a_reload_and_another_tab_show_jobs_until_they_are_removed(person: Person, stage: Stage) -> None:
    stage.gate.clear()
    try:
        await order(person, "the first one")
        stage.gate.step(1)
        await state(person, "Being made")
        await person.page.get_by_label("Prompt").fill("a draft of another one")
        await person.page.reload()
        await person.ready()
        await state(person, "Being made")
        await expect(person.page.get_by_label("Prompt")).to_have_value("a draft of another one")
        await person.until("document.querySelector('.stage video').buffered.length === 1")
        other = Person(await person.page.context.new_page(), stage.rig.address)
        await other.page.goto(f"{stage.rig.address}/#/history")
        await expect(other.page.locator(".job .state")).to_have_text("Being made")
        stage.gate.set()
        await state(person, "Ready")
        await expect(other.page.locator(".job .state")).to_have_text("Ready")
        await other.page.get_by_role("button", name="Remove the first one from the history").click()
        await other.page.get_by_role("button", name="Remove", exact=True).click()
        await expect(other.page.locator(".job")).to_have_count(0)
        await other.page.reload()
        await expect(other.page.get_by_text("There is no video yet.")).to_be_visible()
        assert other.complaints == []
    finally:
        stage.gate.set()


async def test_everything_works_by_keyboard_alone(person: Person) -> None:
    page = person.page
    await page.locator("form[data-ready]").wait_for()
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")  # past the links of the rail
    await tab_to(person, "operation")
    await page.keyboard.press("ArrowRight")
    await tab_to(person, "prompt")
    await page.keyboard.type("by keys alone")
    await expect(page.locator(".amount")).to_have_text("$0.001 · 8 frames")
    await tab_to(person, "Make the video")
    await page.keyboard.press("Enter")
    await state(person, "Ready")
    await person.until("document.querySelector('.stage video').duration === 1")
    await page.get_by_label("Place in the video").focus()
    await page.keyboard.press("k")
    await page.keyboard.press("Home")
    await page.keyboard.press(".")
    await person.until("Math.abs(document.querySelector('.stage video').currentTime - 1 / 16) < 0.01")
    await page.keyboard.press("End")
    await person.until("document.querySelector('.stage video').currentTime === 1")
    await page.keyboard.press("l")
    await expect(page.get_by_role("button", name="Loop")).to_have_attribute("aria-pressed", "true")


async def tab_to(person: Person, name: str) -> None:
    """Presses Tab until the control with a name, an id of that begin or a text has the focus."""
    focused = """() => { const e = document.activeElement; return [e.name, e.id, e.textContent.trim()].join(" ") }"""
    for _ in range(40):
        await person.page.keyboard.press("Tab")
        if name in await person.page.evaluate(focused):
            return
    raise AssertionError(f"no {name} within 40 tabs")


async def test_again_makes_another_seed_and_two_videos_play_in_step(person: Person) -> None:
    page = person.page
    await order(person, "twice")
    await state(person, "Ready")
    first = page.url
    await page.get_by_role("button", name="Again with another seed").click()
    await expect(page.locator(".strip li")).to_have_count(2)
    await state(person, "Ready")
    assert page.url != first
    await page.get_by_role("link", name="Compare", exact=True).last.click()
    await expect(page.locator(".pair video")).to_have_count(2)
    await expect(page.locator(".differs").get_by_text("Seed")).to_be_visible()
    await page.get_by_role("button", name="Play both").click()
    await person.until("[...document.querySelectorAll('video')].every(video => video.currentTime > 0.3)")
    both = "[...document.querySelectorAll('video')].map(video => video.currentTime)"
    await person.until(f"Math.abs({both}.reduce((left, right) => left - right)) < 0.1")


async def test_a_phone_shows_every_place_without_scrolling_sideways(stage: Stage) -> None:
    async with a_person(stage.browser, stage.rig.address, viewport=PHONE, has_touch=True, is_mobile=True) as person:
        await person.sign_in("studio-key", "on-a-phone")
        for place in ("make", "history", "compare", "library", "usage"):
            await person.go(place)
            assert await person.page.evaluate("document.documentElement.scrollWidth") == PHONE["width"], place
