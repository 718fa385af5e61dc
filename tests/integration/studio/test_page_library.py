"""The library by the page, and what a company's admin does: webhooks and keys."""

import uuid
from pathlib import Path

import pytest
from i2v.admin.v1.key_pb2 import Key
from playwright.async_api import Route, expect

from tests.integration.tenants.conftest import Admin
from tests.support.browser import CHROMIUM, NO_BROWSER
from tests.support.page_rig import Person, Stage, a_person, picture_file
from tests.support.studio_rig import PICTURE

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason=NO_BROWSER)


async def test_an_upload_is_tagged_found_collected_shared_deleted_and_restored(person: Person, tmp_path: Path) -> None:
    page = person.page
    await person.go("library")
    await expect(page.get_by_text("There is nothing yet.")).to_be_visible()
    await page.locator('[data-slot="uploads"] input').set_input_files(
        await picture_file(tmp_path, PICTURE, "a cat <b>.png")
    )
    await expect(page.locator(".tile")).to_contain_text("a cat <b>.png")
    await page.get_by_role("checkbox", name="Choose a cat <b>.png").check()
    await page.get_by_label("Tag for what is chosen").fill("pets")
    await page.get_by_role("button", name="Add the tag").click()
    await expect(page.locator(".tile .hint")).to_contain_text("pets")
    await page.get_by_role("checkbox", name="Choose").check()
    album = page.get_by_label("Collection for what is chosen")
    await album.select_option("new")
    await page.keyboard.press("Escape")
    await expect(album).to_have_value("")
    await album.select_option("new")
    await page.get_by_label("Title").fill("Animals")
    assert await person.faults() == []
    await page.keyboard.press("Enter")
    await expect(page.get_by_label("Collection", exact=True)).to_contain_text("Animals (1)")
    await expect(page.locator("#live")).to_contain_text("Added.")
    star = page.get_by_role("button", name="Favourite: a cat <b>.png")
    await star.click()
    await expect(star).to_have_attribute("aria-pressed", "true")
    await page.get_by_role("button", name="Favourites", exact=True).click()
    await page.get_by_label("Tag", exact=True).fill("pets")
    await page.get_by_label("Words").fill("cat")
    await expect(page.locator(".tile")).to_have_count(1)
    await page.get_by_label("Tag", exact=True).fill('no "such')
    await expect(page.get_by_text("Nothing fits.")).to_be_visible()
    await page.get_by_label("Tag", exact=True).fill("")
    await page.locator(".tile .asset").click()
    assert await person.faults() == []
    await page.get_by_role("textbox", name="Title").fill("A tabby")
    await page.get_by_role("button", name="Save").click()
    await expect(page.locator("dialog")).to_have_count(0)
    await page.get_by_label("Words").fill("tabby")
    await expect(page.locator(".tile")).to_contain_text("A tabby")
    await page.locator(".tile .asset").click()
    await page.get_by_role("button", name="Share").click()
    await page.get_by_role("button", name="Make the link").click()
    assert "/s/" in await page.get_by_label("The link").input_value()
    await page.get_by_role("button", name="End this link").click()
    await page.get_by_role("button", name="Close").click()
    await page.locator(".tile .asset").click()
    await page.get_by_role("button", name="To the trash").click()
    await expect(page.get_by_text("Nothing fits.")).to_be_visible()
    await page.get_by_role("button", name="Favourites", exact=True).click()
    await page.get_by_role("button", name="Trash", exact=True).click()
    await page.locator(".tile .asset").click()
    await page.get_by_role("button", name="Restore").click()
    await expect(page.get_by_text("The trash is empty.")).to_be_visible()
    await page.get_by_label("Collection", exact=True).select_option(label="Animals (1)")
    await page.get_by_role("button", name="Delete the collection").click()
    await page.get_by_role("alertdialog").get_by_role("button", name="Delete the collection").click()
    await expect(page.get_by_label("Collection", exact=True)).not_to_contain_text("Animals")


async def test_what_cannot_be_undone_is_asked_first_and_the_focus_stays_where_it_was(
    person: Person, tmp_path: Path
) -> None:
    page = person.page
    await person.go("library")
    await page.locator('[data-slot="uploads"] input').set_input_files(await picture_file(tmp_path, PICTURE))
    tile = page.locator(".tile .asset")
    await tile.press("Enter")
    await page.get_by_role("textbox", name="Title").fill("A tabby")
    await page.get_by_role("button", name="Save").press("Enter")
    await expect(page.locator(".tile")).to_contain_text("A tabby")
    await expect(tile).to_be_focused()
    await tile.press("Enter")
    await page.get_by_role("button", name="To the trash").press("Enter")
    await expect(page.locator("dialog")).to_have_count(0)
    await page.get_by_role("button", name="Trash", exact=True).press("Enter")
    question = page.get_by_role("alertdialog", name="Empty the trash?")
    for answer, left in (("Cancel", 1), ("Empty the trash", 0)):
        await page.get_by_role("button", name="Empty the trash").press("Enter")
        await expect(question.get_by_role("button", name="Cancel")).to_be_focused()
        assert await person.faults() == []
        await question.get_by_role("button", name=answer).press("Enter")
        await expect(question).to_have_count(0)
        await expect(page.get_by_role("button", name="Empty the trash")).to_be_focused()
        await expect(page.locator(".tile")).to_have_count(left)
    await expect(page.get_by_text("1 deleted")).to_be_visible()


async def test_an_admin_makes_a_webhook_and_a_key(stage: Stage) -> None:
    scopes = (Key.SUBMIT, Key.READ, Key.ASSETS, Key.USAGE, Key.TENANT_ADMIN)
    key = (await Admin(stage.rig.i2v.channel).new_key(*scopes)).key_text
    async with a_person(stage.browser, stage.rig.address) as person:
        page = person.page
        await person.sign_in(key, f"admin-{uuid.uuid4().hex[:8]}")
        await person.go("webhooks")
        await page.get_by_label("Address").fill("http://127.0.0.1/hook")
        await page.get_by_role("button", name="Add the address").click()
        await expect(page.locator('[data-field="url"] .wrong')).to_be_visible()
        await page.get_by_label("Address").fill("https://example.com/hook")
        await page.get_by_role("button", name="Add the address").click()
        await expect(page.locator(".secret")).to_contain_text("whsec_")
        await expect(page.locator(".rows")).to_contain_text("gets all events but job.fragment_ready")
        events = page.get_by_role("button", name="Events", exact=True)
        await events.press("Enter")
        assert await person.faults() == []
        await page.get_by_role("button", name="None").press("Enter")
        await page.get_by_role("button", name="Use these").press("Enter")
        await expect(page.get_by_text("Choose at least one.")).to_be_visible()
        for event in ("job.failed", "usage.warning"):
            await page.get_by_role("checkbox", name=event).press("Space")
        await page.get_by_role("button", name="Use these").press("Enter")
        await expect(page.get_by_text("gets job.failed, usage.warning")).to_be_visible()
        await expect(events).to_be_focused()
        await page.get_by_role("button", name="Test").press("Enter")
        await page.get_by_role("button", name="Deliveries").press("Enter")
        test = page.get_by_role("row", name="webhook.test")
        await expect(test).to_be_visible()
        await expect(page.get_by_role("button", name="Deliveries")).to_have_attribute("aria-expanded", "true")
        await expect(test.get_by_role("cell").nth(2)).to_have_text("1")  # its first try, without a click
        first = await page.locator(".secret").text_content()
        await page.get_by_role("button", name="New secret").click()
        await expect(page.locator(".secret")).not_to_have_text(first or "")
        await expect(page.locator(".secret")).to_contain_text("whsec_")
        assert await person.faults() == []
        await person.go("keys")
        await page.get_by_label("Name").fill("web shop")
        await page.get_by_role("button", name="Make the key").click()
        await expect(page.locator(".secret")).to_contain_text("i2v_")
        rows = page.locator(".card.stack", has_text="web shop")
        await page.route("**/v1/keys/*:rotate", lost, times=1)
        await page.get_by_role("button", name="Replace web shop").press("Enter")
        await expect(page.get_by_text("The new key; the old one works for a day")).to_be_visible()
        await expect(rows).to_have_count(3)
        await expect(rows.get_by_text("Ended")).to_have_count(1)  # that whose text was lost
        await page.get_by_role("button", name="Revoke web shop").first.click()
        await page.get_by_role("alertdialog").get_by_role("button", name="Revoke").click()
        await expect(rows.get_by_text("Ended")).to_have_count(2)
        assert await person.faults() == []
        assert person.complaints == []


async def lost(route: Route) -> None:
    """Lets a request through, and loses its answer."""
    await route.fetch()
    await route.abort()
