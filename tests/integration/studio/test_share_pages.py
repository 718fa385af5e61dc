"""The pages of shares over HTTP: the real process before a real API."""

import re
from html.parser import HTMLParser
from typing import Any

import pytest
import sqlalchemy as sa
from google.protobuf.field_mask_pb2 import FieldMask
from i2v.v1 import asset_pb2, library_pb2

from tests.support import pictures, sounds
from tests.support.blob_stores import until
from tests.support.served_orchestrator import caller
from tests.support.shared_links import Links
from tests.support.studio_rig import Rig

PHRASE = "ünder the roof"
XSS = "<script>alert(1)</script>\" onload='x' & {7*7}"


class Page(HTMLParser):
    """What a browser finds in a page: elements with their attributes, and the visible text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, Any]]:
        return [attributes for name, attributes in self.found if name == tag]


@pytest.fixture
def links(rig: Rig) -> Links:
    return Links(rig.i2v)


def base(rig: Rig, url: str) -> str:
    """The address that the links of a page begin with."""
    return url.rpartition("/")[0] + "/"


async def titled(rig: Rig, name: str, title: str) -> None:
    """Sets a title, as anyone may for an own asset."""
    await rig.i2v.assets.UpdateAsset(
        asset_pb2.UpdateAssetRequest(
            asset=asset_pb2.Asset(name=name, details=library_pb2.LibraryDetails(title=title)),
            update_mask=FieldMask(paths=["details.title"]),
        ),
        metadata=caller(),
    )


async def test_a_page_shows_the_picture_offers_it_and_lets_nothing_else_in(rig: Rig, links: Links) -> None:
    asset, stored = await rig.picture()
    await titled(rig, asset.name, "Крыши & roofs")
    share = await links.make(asset=asset.name)
    answer = await rig.http.get(share.url)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["x-robots-tag"] == "noindex, nofollow"
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; img-src 'self'; media-src 'self'; style-src 'sha256-")
    assert "unsafe" not in policy and "script" not in policy
    page = Page(answer.text)
    assert "Крыши & roofs" in page.text
    assert not page.all("script") and not page.all("link")
    [picture], [save] = page.all("img"), page.all("a")
    shown = await rig.http.get(base(rig, share.url) + picture["src"])
    assert (shown.status_code, shown.content, shown.headers["content-type"]) == (200, stored, "image/png")
    assert shown.headers["cache-control"] == "private, no-cache"
    assert shown.headers["content-disposition"] == "inline"
    tag = {"If-None-Match": shown.headers["etag"]}
    assert (await rig.http.get(str(shown.url), headers=tag)).status_code == 304
    part = await rig.http.get(str(shown.url), headers={"Range": "bytes=2-5"})
    assert (part.status_code, part.content) == (206, stored[2:6])
    saved = await rig.http.get(base(rig, share.url) + save["href"])
    assert saved.content == stored
    assert "filename*=UTF-8''%D0%9A%D1%80%D1%8B%D1%88%D0%B8%20%26%20roofs.png" in saved.headers["content-disposition"]


async def test_what_a_title_says_is_text_and_turns_nothing(rig: Rig, links: Links) -> None:
    asset, _ = await rig.picture()
    await titled(rig, asset.name, XSS)
    album = await links.collection(XSS, asset.name)
    for share in (await links.make(asset=asset.name), await links.make(collection=album)):
        answer = await rig.http.get(share.url)
        page = Page(answer.text)
        assert not page.all("script")
        assert {name for tag, found in page.found for name in found if name.startswith("on")} == set()
        assert XSS in page.text and "<script" not in answer.text
    # A prompt may hold anything, and becomes the title of its video.
    async with rig.i2v.app.store.database.writing() as connection:
        turned = {"title": "abc\u202egpj.exe\u2066\u0007<b>"}
        await connection.execute(sa.text("UPDATE library_entries SET title = :title"), turned)
    answer = await rig.http.get((await links.make(asset=asset.name)).url)
    assert not re.search("[\u202a-\u202e\u2066-\u2069\u0007]", answer.text)
    assert "<bdi>abc gpj.exe &lt;b&gt;</bdi>" in answer.text


async def test_a_pass_phrase_opens_a_share_for_this_browser_alone(rig: Rig, links: Links) -> None:
    asset, stored = await rig.picture()
    share = await links.make(asset=asset.name, pass_phrase=PHRASE)
    other = await links.make(asset=asset.name, pass_phrase=PHRASE)
    file = f"{share.url}/{asset.name.removeprefix('assets/')}"
    locked = await rig.http.get(share.url)
    assert locked.status_code == 403
    assert (await rig.http.get(file)).status_code == 403
    [form] = Page(locked.text).all("form")
    assert form["method"] == "post"
    send = base(rig, share.url) + form["action"]
    wrong = await rig.http.post(send, data={"pass_phrase": "another phrase"})
    assert (wrong.status_code, "This is not the pass phrase" in wrong.text) == (403, True)
    assert "another phrase" not in wrong.text
    assert Page(wrong.text).all("form")[0]["action"] == ""
    for body, kind in (
        (b"pass_phrase=" + b"x" * 5000, "application/x-www-form-urlencoded"),
        (b"pass_phrase=%ff%fe", "application/x-www-form-urlencoded"),
        (b"\xff", "application/x-www-form-urlencoded"),
        (b"a=1&" * 9, "application/x-www-form-urlencoded"),
        (b"pass_phrase=x", "text/plain"),
    ):
        assert (await rig.http.post(send, content=body, headers={"Content-Type": kind})).status_code == 400
    opened = await rig.http.post(send, data={"pass_phrase": PHRASE})
    assert opened.status_code == 303
    cookie = opened.headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=lax" in cookie and "expires=" in cookie
    assert "path=" not in cookie, "a browser then takes the folder of this request: /s/{token}"
    assert "secure" not in cookie
    page = await rig.http.get(str(opened.url.join(opened.headers["location"])))
    assert (page.status_code, str(page.url)) == (200, share.url)
    assert (await rig.http.get(file)).content == stored
    assert (await rig.http.get(other.url)).status_code == 403
    rig.http.cookies.clear()
    assert (await rig.http.get(share.url)).status_code == 403
    behind = await rig.http.post(send, data={"pass_phrase": PHRASE}, headers={"X-Forwarded-Proto": "https"})
    assert "; secure" in behind.headers["set-cookie"].lower()
    rig.http.cookies.clear()
    for _ in range(30):
        last = await rig.http.post(send, data={"pass_phrase": "another phrase"})
    assert last.status_code == 429 and 1 <= int(last.headers["retry-after"]) <= 30
    assert "Too many attempts" in last.text
    assert PHRASE not in rig.log.read_text() and share.token not in rig.log.read_text()


async def test_a_collection_is_a_grid_with_pages(rig: Rig, links: Links) -> None:
    first = await rig.i2v.upload(pictures.a_picture(64, 64))
    sound = await rig.i2v.upload(sounds.a_sound("audio/wav", 1.0), "audio/*")
    rest = [(await rig.i2v.upload(pictures.a_picture(65 + number, 64))).name for number in range(50)]
    album = await links.collection("Roofs", first.name, sound.name, *rest)
    share = await links.make(collection=album)
    page = Page((await rig.http.get(share.url)).text)
    assert "52 files" in page.text
    assert len(page.all("img")) == 48
    [more] = [link["href"] for link in page.all("a") if link["href"].startswith("?page=")]
    second = Page((await rig.http.get(share.url + more)).text)
    assert len(second.all("img")) == 4
    tiles = [link["href"] for link in second.all("a") if link["href"].startswith("?asset=")]
    for tile, kind in zip(tiles[-2:], ("audio", "img"), strict=True):
        shown = Page((await rig.http.get(share.url + tile)).text)
        [played] = shown.all(kind)
        assert (await rig.http.get(base(rig, share.url) + played["src"])).status_code == 200
    wave = [image["src"] for image in second.all("img") if image["src"].endswith("waveform")]
    assert (await rig.http.get(base(rig, share.url) + wave[0])).headers["content-type"] == "image/png"
    assert (await rig.http.get(f"{share.url}?page=x")).status_code == 404


async def test_a_link_that_shows_nothing_has_one_page_for_all_causes(rig: Rig, links: Links) -> None:
    asset, _ = await rig.picture()
    other = await rig.i2v.upload(pictures.a_picture(99, 64))
    share, short = await links.make(asset=asset.name), await links.make(1, asset=asset.name)
    file = asset.name.removeprefix("assets/")

    async def gone() -> bool:
        return (await rig.http.get(short.url)).status_code == 404

    await until(gone)
    expired = await rig.http.get(short.url)
    unknown = await rig.http.get(short.url[:-1] + ("A" if short.url[-1] != "A" else "B"))
    no_token = await rig.http.get(f"{base(rig, share.url)}studio-key")
    assert (await rig.http.get(f"{share.url}/{other.name.removeprefix('assets/')}")).status_code == 404
    assert (await rig.http.get(f"{share.url}/{file}/poster")).status_code == 404
    assert (await rig.http.get(f"{share.url}/{file}/x%2Fy")).status_code == 404
    assert (await rig.http.get(f"{share.url}/{'0' * 64}")).status_code == 404
    assert (await rig.http.get(f"{share.url}?asset=x")).status_code == 404
    assert (await rig.http.head(f"{share.url}/{file}")).status_code == 200
    assert (await rig.http.post(share.url)).status_code == 405
    await links.revoke(share.name)
    revoked = await rig.http.get(share.url)
    answers = [revoked, expired, unknown, no_token]
    assert {(each.status_code, each.text) for each in answers} == {(404, expired.text)}
    assert (await rig.http.get(f"{share.url}/{file}", headers={"If-None-Match": "*"})).status_code == 404
