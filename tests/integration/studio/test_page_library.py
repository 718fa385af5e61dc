"""The library by the page, and what a company's admin does: webhooks and keys."""

import uuid
from pathlib import Path

import pytest
from i2v.admin.v1.key_pb2 import Key
from playwright.async_api import expect

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
    page.once("dialog", lambda dialog: dialog.accept("Animals"))
    await page.get_by_role("checkbox", name="Choose").check()
    await page.get_by_label("Collection for what is chosen").select_option("new")
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
        await page.get_by_role("button", name="Deliveries").click()
        await expect(page.get_by_text("Nothing was sent yet.")).to_be_visible()
        await page.get_by_role("button", name="Test").click()
        await expect(page.get_by_role("cell", name="webhook.test")).to_be_visible()
        first = await page.locator(".secret").text_content()
        await page.get_by_role("button", name="New secret").click()
        await expect(page.locator(".secret")).not_to_have_text(first or "")
        await expect(page.locator(".secret")).to_contain_text("whsec_")
        assert await person.faults() == []
        await person.go("keys")
        await page.get_by_label("Name").fill("web shop")
        await page.get_by_role("button", name="Make the key").click()
        await expect(page.locator(".secret")).to_contain_text("i2v_")
        page.once("dialog", lambda dialog: dialog.accept())
        await page.get_by_role("button", name="Revoke web shop").click()
        await expect(page.locator(".card.stack", has_text="web shop")).to_contain_text("Ended")
        assert await person.faults() == []
        assert person.complaints == []
