"""What the page shows when something is wrong, and that what others wrote is never a script."""

import itertools
import json
from pathlib import Path

import pytest
from i2v.admin.v1.key_pb2 import Key
from playwright.async_api import Route, expect

from tests.integration.tenants.conftest import Admin
from tests.support.browser import CHROMIUM, NO_BROWSER
from tests.support.page_rig import PHONE, WIDE, Person, Stage, a_person, picture_file
from tests.support.studio_rig import PICTURE

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason=NO_BROWSER)
HOSTILE = '<img src=x onerror="window.hit=1">"><script>window.hit=1</script>'
PLACES = ("make", "history", "compare", "library", "usage")


async def text_to_video(person: Person, prompt: str) -> None:
    await person.page.get_by_role("radio", name="Text to video").check()
    await person.page.get_by_label("Prompt").fill(prompt)


@pytest.mark.parametrize(
    ("name", "data", "sentence"),
    [
        ("cat.png", b"MZ\x90\x00 this program cannot be run in DOS mode", "This file is no JPG, PNG, WebP"),
        ("cat.jpg", b"<svg onload='alert(1)'>", "This file is no JPG, PNG, WebP"),
        ("cat.png", PICTURE.ljust(10_000_001, b"\0"), "may have 10 MB"),
        ("cat.webp", b"<!doctype html><script>alert(1)</script>", "This file is no JPG, PNG, WebP"),
        ("cat.png", b"\x89PNG\r\n\x1a\n" + bytes(64), "picture"),
        ("cat.png", b"", "The file is empty"),
    ],
)
async def test_a_refused_picture_is_marked_at_its_field(
    person: Person, tmp_path: Path, name: str, data: bytes, sentence: str
) -> None:
    file = await picture_file(tmp_path, data, name)
    await person.page.locator('.picture input[type="file"]').set_input_files(file)
    await expect(person.page.locator("#picture-wrong")).to_contain_text(sentence)
    await expect(person.page.locator(".drop")).to_have_attribute("aria-invalid", "true")


async def test_what_is_missing_is_marked_and_has_the_focus(person: Person) -> None:
    await text_to_video(person, "")
    await person.page.get_by_role("button", name="Make the video").click()
    await expect(person.page.get_by_text("Describe the video.")).to_be_visible()
    await expect(person.page.get_by_label("Prompt")).to_be_focused()
    await person.page.get_by_label("Prompt").fill("x" * 101)
    await expect(person.page.locator('[data-field="prompt"] > .wrong')).to_contain_text("100")
    assert await person.faults() == []


async def test_texts_of_others_are_never_html(person: Person, tmp_path: Path) -> None:
    page = person.page
    await page.locator('.picture input[type="file"]').set_input_files(
        await picture_file(tmp_path, PICTURE, "<img src=x onerror=window.hit=1>.png")
    )
    await expect(page.get_by_text("<img src=x onerror=window.hit=1>.png ·")).to_be_visible()
    await page.get_by_label("Prompt").fill(HOSTILE)
    await page.get_by_role("button", name="Make the video").click()
    await expect(page.locator(".stage .state")).to_have_text("Ready")
    await expect(page.locator(".job-title")).to_have_text(HOSTILE)
    for place in PLACES:
        await person.go(place)
        await expect(page.locator("main img[src='x'], main script")).to_have_count(0)
    assert await page.evaluate("window.hit") is None


async def test_a_limit_says_when_it_begins_again_and_a_vendor_that_it_is_away(person: Person) -> None:
    sentence = f"Your budget of this month is used. {HOSTILE}"
    limit = {"description": sentence, "resetTime": "2026-12-01T00:00:00Z"}
    answers = {
        "limit": (429, {"detail": "no", "reason": "USER_BUDGET_EXCEEDED", "limits": [limit]}),
        "away": (503, {"detail": "All workers of the model are drained.", "reason": "BACKEND_DRAINED"}),
    }
    answer = "limit"

    async def refuse(route: Route) -> None:
        status, body = answers[answer]
        await route.fulfill(status=status, body=json.dumps(body), content_type="application/problem+json")

    await text_to_video(person, "a wave")
    await person.page.route("**/v1/jobs", refuse)
    await person.page.get_by_role("button", name="Make the video").click()
    await expect(person.page.get_by_text("A limit is reached")).to_be_visible()
    await expect(person.page.locator(".pay .notice")).to_contain_text(sentence)
    answer = "away"
    await person.page.get_by_role("button", name="Make the video").click()
    await expect(person.page.get_by_text("Choose another model, or try again later.")).to_be_visible()
    assert await person.page.evaluate("window.hit") is None


async def test_a_page_that_was_offline_goes_on(person: Person) -> None:
    context = person.page.context
    await text_to_video(person, "a wave")
    await expect(person.page.locator(".amount")).to_contain_text("$0.001")
    await context.set_offline(True)
    await expect(person.page.locator("#banner")).to_contain_text("No connection")
    await person.page.get_by_label("Prompt").fill("a wave, written offline")
    await context.set_offline(False)
    await expect(person.page.locator("#banner")).to_be_empty()
    await person.page.get_by_role("button", name="Make the video").click()
    await expect(person.page.locator(".stage .state")).to_have_text("Ready")


async def test_a_person_whose_session_ended_is_led_to_the_sign_in(person: Person) -> None:
    await text_to_video(person, "kept until then")
    await person.page.context.clear_cookies()
    await person.page.get_by_role("button", name="Make the video").click()
    await expect(person.page.locator("#banner")).to_contain_text("You are signed out")
    await person.page.locator("#banner").get_by_role("link", name="Sign in").click()
    await person.page.wait_for_url("**/sign-in")


async def test_a_job_is_watched_no_longer_when_its_session_has_ended(person: Person) -> None:
    page = person.page
    await text_to_video(person, "a wave")
    await expect(page.locator(".price .amount")).not_to_be_empty()
    await page.clock.install()
    await page.route("**/events*", lambda route: route.fulfill(status=401, json={"reason": "SESSION_ENDED"}))
    async with page.expect_response("**/events") as watch:
        await page.get_by_role("button", name="Make the video").click()
    job = (await watch.value).url
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    await page.context.clear_cookies()
    await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    await expect(page.locator("#banner")).to_contain_text("You are signed out")
    asked.clear()
    await page.clock.run_for(10_000)
    assert not [url for url in asked if url.startswith(job)]


async def test_an_address_leads_to_no_other_operation(person: Person) -> None:
    page, asked = person.page, list[str]()
    page.on("request", lambda request: asked.append(request.url))
    for address in ("#/make/..%2Fkeys%2Fkey-1:revoke%3F", "#/make/%", "#/make/..", "#/compare/%2E%2E/x"):
        await page.goto("about:blank")
        await page.goto(f"{person.address}/{address}")
        await person.ready()
        assert await page.get_by_role("button", name="Stop").count() == 0
    assert not [url for url in asked if "keys" in url or url.endswith(("/v1/", "/v1/jobs/"))]


async def test_a_repeat_after_lost_answers_makes_one_video(person: Person) -> None:
    page, sent = person.page, list[str]()

    async def lose(route: Route) -> None:
        if route.request.method != "POST":
            await route.fallback()
            return
        sent.append(str(route.request.headers["idempotency-key"]))
        answer = await route.fetch()
        await (route.abort() if len(sent) < 4 else route.fulfill(response=answer))

    await text_to_video(person, "a wave")
    await expect(page.locator(".price .amount")).not_to_be_empty()
    await page.route("**/v1/jobs", lose)
    await page.get_by_role("button", name="Make the video").click()
    await expect(page.locator(".pay .notice")).to_be_visible()
    await page.get_by_role("button", name="Make the video").click()
    await expect(page.locator(".stage .state")).to_have_text("Ready")
    assert len(sent) == 4 and len(set(sent)) == 1
    await expect(page.locator(".strip li")).to_have_count(1)


async def test_a_picture_that_was_removed_while_it_arrives_stays_away(person: Person, tmp_path: Path) -> None:
    page, held = person.page, list[Route]()
    await page.route("**/v1/uploads*", lambda route: held.append(route))
    async with page.expect_request("**/v1/uploads*"):
        await page.locator('.picture input[type="file"]').set_input_files(await picture_file(tmp_path, PICTURE))
    await page.get_by_role("button", name="Remove the picture").click()
    async with page.expect_response("**/v1/uploads*"):
        await held[0].continue_()
    await page.get_by_label("Prompt").fill("a wave")
    await expect(page.locator(".drop")).to_be_visible()
    assert json.loads(await page.evaluate("sessionStorage[Object.keys(sessionStorage)[0]]"))["picture"] is None


async def test_no_place_and_no_dialog_has_faults_of_accessibility_in_any_colours_and_size(
    stage: Stage,
) -> None:
    key = (await Admin(stage.rig.i2v.channel).new_key(*Key.Scope.values()[1:])).key_text
    async with a_person(stage.browser, stage.rig.address, reduced_motion="reduce") as person:
        page = person.page
        await person.sign_in(key, "of-axe")
        await text_to_video(person, "for axe")
        await page.get_by_role("button", name="Make the video").click()
        await expect(page.locator(".stage .state")).to_have_text("Ready")
        for scheme, size in itertools.product(("light", "dark"), (WIDE, PHONE)):
            await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            await page.set_viewport_size(size)  # type: ignore[arg-type]
            for place in (*PLACES, "webhooks", "keys"):
                await person.go(place)
                await page.wait_for_load_state("networkidle")
                assert await person.faults() == [], (scheme, size, place)
        await person.go("library")
        for scheme in ("light", "dark"):
            await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            await page.locator(".tile .asset").first.click()
            assert await person.faults() == [], scheme
            await page.get_by_role("button", name="Share").click()
            assert await person.faults() == [], scheme
            await page.keyboard.press("Escape")
            await expect(page.locator("dialog")).to_have_count(0)
        await person.go("make")
        await page.get_by_role("radio", name="Image to video").check()
        await page.get_by_role("button", name="From the library").click()
        assert await person.faults() == []
        assert person.complaints == []


async def test_the_page_is_small_and_loads_nothing_from_elsewhere(person: Person, stage: Stage) -> None:
    found = await person.page.evaluate(
        """performance.getEntriesByType("navigation").concat(performance.getEntriesByType("resource"))
             .map(each => [each.name, each.encodedBodySize])"""
    )
    assert {name.split("/")[2] for name, _ in found} == {stage.rig.address.split("/")[2]}
    assert sum(size for _, size in found) < 300_000


async def test_fragments_that_come_in_time_never_stop_the_video(person: Person) -> None:
    stops = await person.page.evaluate(
        """async () => {
          const at = document.querySelector("script[type=module]").src.replace("app.js", "playout.js");
          const {underruns} = await import(at);
          let seed = 7, stops = 0;
          const random = () => (seed = (seed * 16807) % 2147483647) / 2147483647;
          for (let run = 0; run < 1000; run += 1) {
            // Each fragment is made before its turn; to read it, the first one too, takes up to 200 ms.
            const arrivals = [random() * 0.2];
            for (let index = 1; index < 7; index += 1)
              arrivals.push(Math.max(arrivals.at(-1), (index - 1 + random()) * 0.75 + random() * 0.2));
            stops += underruns(arrivals, 0.75);
          }
          return [stops, underruns([0, 0.5, 4], 0.75)];
        }"""
    )
    assert stops == [0, 1]
