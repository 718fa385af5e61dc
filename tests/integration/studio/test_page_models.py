"""Every operation and card of simulated vendors in the page: what its form has, and what the vendor is given."""

import base64
import io
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.async_api import expect

from tests.support.browser import CHROMIUM, NO_BROWSER
from tests.support.live_rig import stepped
from tests.support.page_rig import PHONE, Person, Stage, a_browser, a_person, picture_file
from tests.support.provider_and_simulator import picture
from tests.support.served_orchestrator import GOLDEN
from tests.support.simulated_vendors import simulated_vendors
from tests.support.sounds import a_sound
from tests.support.studio_rig import before_an_api
from tools.simulators.scenario import Scenario
from tools.simulators.simulator import Simulator

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason=NO_BROWSER)

WIDTH, HEIGHT = 480, 360
HOSTILE = '<img src=x onerror="window.hit=1"><script>window.hit=1</script>'
TALK = "picture audio prompt scene story details model resolution mask seed"
WAN = "picture audio prompt model duration resolution promptExpansion negativePrompt seed"
FORMS = {
    ("Image to video", "test-model"): "picture prompt model duration size fit seed",
    ("Image to video", "wavespeed-wan-2.5"): WAN,
    ("Image to video", "fal-wan-2.5"): WAN,
    ("Image to video", "wavespeed-kandinsky-5-pro"): "picture prompt model resolution",
    ("Image to video", "wavespeed-kling-2.5-turbo-std"): "picture prompt model duration guidanceScale negativePrompt",
    ("Text to video", "test-model"): "prompt model duration size seed",
    (
        "Scene",
        "wavespeed-kling-2.5-turbo-std",
    ): "picture scene story details model duration guidanceScale negativePrompt",
    (
        "Talking picture",
        "wavespeed-infinitetalk",
    ): "picture audio prompt scene story details model resolution mask seed",
}


@pytest.fixture(scope="module")
async def stage(shared_database: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """A service with its own model and the cards of two vendors, and a browser."""
    backend, gate = stepped()
    gate.set()
    folder = tmp_path_factory.mktemp("vendors")
    async with (
        simulated_vendors(folder, ["wavespeed", "fal"]) as vendors,
        before_an_api(shared_database, folder, backend, vendors=vendors.backends, **vendors.settings) as rig,
        a_browser() as browser,
    ):
        yield Stage(rig, gate, browser, vendors)


@pytest.fixture
def wavespeed(stage: Stage) -> Simulator:
    assert stage.vendors is not None
    vendor = stage.vendors.providers["wavespeed"].simulator
    vendor.submitted.clear()
    vendor.scenario = Scenario()
    return vendor


async def choose(person: Person, operation: str, model: str = "") -> None:
    await person.page.get_by_role("radio", name=operation).check()
    if model:
        await person.page.get_by_label("Model").select_option(f"models/{model}")


async def give_picture(person: Person, folder: Path) -> None:
    file = await picture_file(folder, picture(WIDTH, HEIGHT), "boat.png")
    await person.page.locator('.picture input[type="file"]').set_input_files(file)
    await expect(person.page.get_by_text(f"boat.png · {WIDTH} × {HEIGHT}")).to_be_visible()


async def give_sound(person: Person, folder: Path) -> None:
    file = await picture_file(folder, a_sound("audio/wav", 3.2), "voice.wav")
    await person.page.locator('[data-field="audio"] input[type="file"]').set_input_files(file)
    await expect(person.page.get_by_text("voice.wav · 3.2 s")).to_be_visible()


async def made(person: Person, price: str) -> None:
    """Orders at a price, and waits for the video."""
    page = person.page
    await expect(page.locator(".price:not([aria-busy]) .amount")).to_contain_text(price)
    await page.get_by_role("button", name="Make the video").click()
    await expect(page.locator(".stage .state")).to_have_text("Ready")
    await person.until("document.querySelector('.stage video').readyState >= 2")


async def test_a_form_has_exactly_the_parameters_of_its_card(person: Person) -> None:
    fields = "[...document.querySelectorAll('.panel [data-slot=fields] [data-field]')].map(each => each.dataset.field)"
    for (operation, model), expected in FORMS.items():
        await choose(person, operation, model)
        assert (await person.page.evaluate(fields)) == expected.split(), (operation, model)
        assert await person.faults() == [], (operation, model)
    names = await person.page.get_by_label("Model").locator("option").all_text_contents()
    assert names == ["InfiniteTalk · Wavespeed · from $0.03 / s"]


async def test_a_vendor_gets_every_parameter_that_was_chosen(
    person: Person, wavespeed: Simulator, tmp_path: Path
) -> None:
    page = person.page
    await choose(person, "Image to video", "wavespeed-wan-2.5")
    await give_picture(person, tmp_path)
    await give_sound(person, tmp_path)
    await expect(page.get_by_text("From 3 s to 30 s.")).to_be_visible()
    await page.get_by_label("Prompt", exact=True).fill("the boat rocks")
    await page.get_by_role("radio", name="10 s").check()
    await page.get_by_role("radio", name="480p").check()
    await page.get_by_role("radio", name="No", exact=True).check()
    await page.get_by_label("Negative prompt").fill("people")
    await page.get_by_label("Seed", exact=True).fill("77")
    await made(person, "$0.50")
    sent = {name: value for name, value in wavespeed.submitted[0].items() if name not in ("image", "audio")}
    assert sent == {
        "prompt": "the boat rocks",
        "duration": 10,
        "resolution": "480p",
        "enable_prompt_expansion": False,
        "negative_prompt": "people",
        "seed": 77,
    }
    assert "audio" in wavespeed.submitted[0]
    await expect(page.get_by_role("button", name="Sound on")).to_be_visible()
    facts = page.locator(".facts")
    for text in ("WAN 2.5 (wavespeed-wan-2.5)", "480p", "people", "77", "$0.50"):
        await expect(facts).to_contain_text(text)


async def describe_boat(person: Person, folder: Path, model: str) -> None:
    """Fills in all that a card needs that turns a picture into a video."""
    await choose(person, "Image to video", model)
    await give_picture(person, folder)
    await person.page.get_by_label("Prompt", exact=True).fill("the boat rocks")


async def test_a_card_without_a_seed_and_one_without_a_choice_make_videos(
    person: Person, wavespeed: Simulator, tmp_path: Path
) -> None:
    page = person.page
    await describe_boat(person, tmp_path, "wavespeed-kandinsky-5-pro")
    await made(person, "$0.20")
    await expect(page.get_by_role("button", name="Again", exact=True)).to_be_visible()
    await choose(person, "Image to video", "fal-wan-2.5")
    await page.get_by_role("radio", name="480p").check()
    await made(person, "$0.25")
    await expect(page.get_by_role("button", name="Again with another seed")).to_be_visible()


async def test_a_scene_becomes_a_written_prompt_and_a_video(
    person: Person, wavespeed: Simulator, tmp_path: Path
) -> None:
    page = person.page
    await choose(person, "Scene")
    await give_picture(person, tmp_path)
    await page.get_by_role("textbox", name="Story").fill("A fisherman comes home.")
    await page.get_by_role("button", name="Make the video").click()
    await expect(page.get_by_role("textbox", name="Scene")).to_be_focused()
    await page.get_by_role("textbox", name="Scene").fill("An old boat lies at the pier.")
    await page.get_by_role("button", name="Add a detail").click()
    await page.get_by_label("Name of detail 1").fill("mood")
    await page.get_by_label("Detail 1", exact=True).fill("calm")
    guidance = page.get_by_label("Guidance")
    await guidance.fill("0.3")
    await page.get_by_role("button", name="As usual").click()
    await guidance.press("ArrowRight")
    await page.get_by_label("Negative prompt").fill("people")
    await made(person, "$0.23")
    sent = wavespeed.submitted[0]
    assert "boat" in sent["prompt"] and sent["prompt"] != "An old boat lies at the pier."
    assert (sent["guidance_scale"], sent["negative_prompt"], sent["duration"]) == (0.55, "people", 5)
    facts = page.locator(".facts")
    for text in (sent["prompt"], "A fisherman comes home.", "0.55"):
        await expect(facts).to_contain_text(text)
    await page.get_by_role("button", name="Reuse settings").click()
    await expect(page.get_by_label("Detail 1", exact=True)).to_have_value("calm")


async def test_a_recorded_voice_and_a_drawn_mask_make_a_picture_talk(
    person: Person, wavespeed: Simulator, tmp_path: Path
) -> None:
    page = person.page
    await choose(person, "Talking picture")
    await give_picture(person, tmp_path)
    await page.get_by_role("button", name="Record").press("Enter")
    await expect(page.get_by_text(re.compile(r"^0:0[1-9]\.\d$"))).to_be_visible()
    await page.get_by_role("button", name="Stop recording").press("Enter")
    await expect(page.locator('[data-field="audio"]')).to_contain_text("Recording · ")
    await expect(page.get_by_role("button", name="Remove the sound")).to_be_focused()
    await page.get_by_label(re.compile(r"^Prompt")).fill("a fisherman tells of the sea")
    await page.get_by_role("textbox", name="Scene").fill("Not used.")
    await expect(page.get_by_text("Your own prompt is used, and the scene is not.")).to_be_visible()
    await page.get_by_role("button", name="Draw a mask").press("Enter")
    await expect(page.locator(".mask canvas")).to_be_focused()
    await page.get_by_role("button", name="Use this mask").click()
    await expect(page.get_by_text("Paint where the picture may move")).to_be_visible()
    box = await page.locator(".mask canvas").bounding_box()
    assert box is not None
    scale = box["width"] / WIDTH
    await page.mouse.move(box["x"] + 60 * scale, box["y"] + 60 * scale)
    await page.mouse.down()
    await page.mouse.move(box["x"] + 420 * scale, box["y"] + 60 * scale, steps=2)  # a fast pointer
    await page.mouse.up()
    await page.get_by_role("button", name="Use this mask").click()
    await expect(page.locator(".mask-small")).to_be_visible()
    await page.get_by_role("button", name="Change the mask").press("Enter")
    await painted(person, 240, 60)
    await page.get_by_role("button", name="Erase").press("Enter")
    await page.locator(".mask canvas").focus()
    for key in ["ArrowUp"] * 8 + ["Shift+ArrowUp"] * 4:
        await page.keyboard.press(key)  # from the middle to the top
    await page.get_by_role("button", name="Erase").press("Enter")
    await page.locator(".mask canvas").focus()
    for key in ["ArrowDown"] * 14 + [" "]:
        await page.keyboard.press(key)
    assert await person.faults() == []
    await page.get_by_role("button", name="Use this mask").press("Enter")
    await expect(page.locator("dialog")).to_have_count(0)
    await made(person, "$0.30")
    sent = wavespeed.submitted[0]
    assert (sent["prompt"], sent["resolution"]) == ("a fisherman tells of the sea", "720p")
    mask = Image.open(io.BytesIO(base64.b64decode(sent["mask_image"].partition(",")[2]))).convert("L")
    assert mask.size == (WIDTH, HEIGHT)
    places = {(60, 60): 255, (150, 60): 255, (240, 60): 0, (420, 60): 255, (240, 210): 255, (60, 300): 0}
    assert {place: mask.getpixel(place) for place in places} == places
    await expect(page.get_by_role("button", name="Sound on")).to_be_visible()
    await page.locator('.picture input[type="file"]').set_input_files(
        await picture_file(tmp_path, picture(WIDTH, HEIGHT, "red"), "other.png")
    )
    await expect(page.get_by_role("button", name="Draw a mask")).to_be_visible()  # that mask was for the other one


async def painted(person: Person, x: int, y: int) -> None:
    """Waits until a place of the mask's dialog is painted."""
    pixel = f"document.querySelector('.mask canvas').getContext('2d').getImageData({x}, {y}, 1, 1).data[3]"
    await person.until(f"{pixel} === 255")


async def test_what_a_vendor_says_is_text_and_the_page_says_what_to_do(
    person: Person, wavespeed: Simulator, tmp_path: Path
) -> None:
    page = person.page
    wavespeed.scenario = Scenario(end="failed", words=HOSTILE)
    await describe_boat(person, tmp_path, "wavespeed-kandinsky-5-pro")
    await page.get_by_role("button", name="Make the video").click()
    await expect(page.locator(".stage .state")).to_have_text("Failed")
    await expect(page.locator(".stage .notice")).to_contain_text("The video could not be made")
    await expect(page.locator(".facts")).to_contain_text("$0.00")
    for place in ("make", "history"):
        await person.go(place)
        await expect(page.locator("main script, main img[src=x]")).to_have_count(0)
    assert await page.evaluate("window.hit") is None
    assert await person.faults() == []


async def test_a_price_that_was_not_shown_is_never_ordered(
    person: Person, wavespeed: Simulator, tmp_path: Path
) -> None:
    page = person.page
    await describe_boat(person, tmp_path, "wavespeed-kling-2.5-turbo-std")
    await expect(page.locator(".price:not([aria-busy]) .amount")).to_contain_text("$0.21")
    await page.evaluate(
        "() => { document.querySelector('[value=\"10s\"]').click(); document.querySelector('.button.big').click(); }"
    )
    await expect(page.locator(".pay .notice")).to_contain_text("It is $0.42 now, and was $0.21.")
    assert wavespeed.submitted == []
    await made(person, "$0.42")


async def test_a_phone_shows_every_form_without_scrolling_sideways_and_takes_its_own_pictures(stage: Stage) -> None:
    options = {"viewport": PHONE, "has_touch": True, "is_mobile": True, "color_scheme": "dark"}
    async with a_person(stage.browser, stage.rig.address, **options) as person:
        await person.sign_in("studio-key", "on-a-phone")
        for operation, model in FORMS:
            await choose(person, operation, model)
            assert await person.page.evaluate("document.documentElement.scrollWidth") == PHONE["width"], operation
        # A browser shows no HEIC: the page shows the service's copy.
        await person.page.locator('.picture input[type="file"]').set_input_files(GOLDEN / "quadrants.heic")
        await expect(person.page.get_by_text(re.compile(r"quadrants\.heic · \d+ × \d+"))).to_be_visible()
        await person.until("document.querySelector('.picture-frame img').naturalWidth > 0")
        await person.page.get_by_role("button", name="Draw a mask").tap()
        await person.until("document.querySelector('.mask img').naturalWidth > 0")
        canvas = person.page.locator(".mask canvas")
        await canvas.tap()
        assert await person.page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
        await person.page.get_by_role("button", name="Use this mask").tap()
        await expect(person.page.locator(".mask-small")).to_be_visible()
        assert await person.faults() == []
