"""The page's files: what their policy forbids is not in them, and what they name is there."""

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from services.orchestrator.domain.webhook import EventType
from services.studio.pages.page_files import FOLDER, KEPT, PageFiles, page_files

FORBIDDEN = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|createContextualFragment|"
    r"localStorage\.setItem\((?!\"i2v-theme\")|"
    r"(?<![\w.])(?:alert|confirm|prompt)\(|https?://(?!www\.w3\.org/|example\.com)"
)
"""What makes HTML of texts or runs them, browsers' own dialogs, and `https://…` other than namespaces and examples."""


@pytest.fixture(scope="module")
def files() -> PageFiles:
    return page_files()


@pytest.fixture(scope="module")
def client(files: PageFiles) -> Iterator[TestClient]:
    with TestClient(Starlette(routes=files.routes())) as made:
        yield made


def texts(files: PageFiles) -> dict[str, str]:
    return {name: plain.body.decode() for name, (plain, _) in files.files.items()}


def test_nothing_makes_html_of_a_text_and_nothing_names_another_host(files: PageFiles) -> None:
    found = {name: FORBIDDEN.findall(text) for name, text in (texts(files) | {"the page": files.page}).items()}
    assert {name: each for name, each in found.items() if each} == {}


def test_the_page_has_no_script_and_no_style_in_it(files: PageFiles) -> None:
    assert not re.search(r"<script(?! [^>]*src=)|<style|\sstyle=|\son\w+=|javascript:", files.page)


def test_every_import_is_of_a_file_that_is_there(files: PageFiles) -> None:
    for name, text in texts(files).items():
        for imported in re.findall(r'from "(\.[^"]+)"', text):
            parts: list[str] = []
            for part in (PurePosixPath(name).parent / imported).parts:
                parts = parts[:-1] if part == ".." else [*parts, part]
            assert "/".join(parts) in files.files, (name, imported)


def test_every_icon_and_every_view_is_there(files: PageFiles) -> None:
    given = texts(files)
    symbols = set(re.findall(r'<symbol id="([^"]+)"', given["icons.svg"]))
    named = {each for text in given.values() for each in re.findall(r'(?:icon\(|symbol: )"([^"]+)"', text)}
    assert named - symbols == set()
    places = set(re.findall(r"^  (\w+): \{ label:", given["js/app.js"], re.MULTILINE))
    assert places == {path.stem for path in (FOLDER / "views").glob("*.html")}
    assert {f"js/views/{place}.js" for place in places} == {name for name in given if name.startswith("js/views/")}
    assert places <= symbols


def test_a_file_is_kept_under_its_version_and_under_no_other(files: PageFiles, client: TestClient) -> None:
    answer = client.get(f"/page/{files.version}/js/app.js")
    assert (answer.status_code, answer.headers["cache-control"]) == (200, KEPT)
    assert answer.headers["content-type"].startswith("text/javascript") and answer.headers["content-encoding"] == "gzip"
    again = client.get(f"/page/{files.version}/js/app.js", headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304
    other = client.get("/page/0123456789abcdef/js/app.js")
    assert (other.status_code, other.headers["cache-control"], other.text) == (200, "no-store", answer.text)
    for path in ("js/none.js", "../page_files.py", "%2e%2e/page_files.py", "js"):
        assert client.get(f"/page/{files.version}/{path}").status_code == 404


def test_every_event_type_can_be_chosen_for_a_webhook(files: PageFiles) -> None:
    named = re.findall(r'"(\w+\.\w+)":', texts(files)["js/event_types.js"])
    assert sorted(named) == sorted(EventType)
