"""The page of the OpenAPI document: whole, safe, and without a script."""

import json
import re
import shlex
from html.parser import HTMLParser
from typing import Any

import pytest

from services.studio.openapi import curl_command, markdown_html, page
from services.studio.openapi.description_routes import DOCUMENT
from services.studio.openapi.page_style import HEADERS, STYLE

FOUND: dict[str, Any] = json.loads(DOCUMENT.read_text())
VOID = {"meta", "br", "wbr", "input"}


class Reader(HTMLParser):
    """Collects ids, links and tags, and checks that what is opened is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self._open: list[str] = []
        self.feed(text)
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.add(tag)
        self.attributes |= set(found)
        self.ids += [str(found["id"])] if "id" in found else []
        self.links += [str(found["href"])] if "href" in found else []
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag


@pytest.fixture(scope="module")
def shown() -> Reader:
    return Reader(page.html_of(FOUND))


def test_every_link_leads_to_something_on_the_page(shown: Reader) -> None:
    assert len(shown.ids) == len(set(shown.ids))
    inside = {link.removeprefix("#") for link in shown.links if link.startswith("#")}
    assert inside <= set(shown.ids)
    assert {link for link in shown.links if not link.startswith("#")} == {"openapi.json"}


def test_every_operation_and_schema_is_on_the_page(shown: Reader) -> None:
    operations = {each["operationId"] for methods in FOUND["paths"].values() for each in methods.values()}
    assert operations <= set(shown.ids)
    assert {f"schema-{name}" for name in FOUND["components"]["schemas"]} <= set(shown.ids)


def test_the_page_has_no_script_and_nothing_from_elsewhere(shown: Reader) -> None:
    assert not shown.tags & {"script", "img", "iframe", "link", "object", "form"}
    assert not {name for name in shown.attributes if name.startswith("on")} | (shown.attributes & {"src", "style"})
    assert "url(" not in STYLE and "@import" not in STYLE
    assert HEADERS["Content-Security-Policy"].startswith("default-src 'none'; style-src 'sha256-")


def test_texts_are_escaped_wherever_they_are() -> None:
    hostile = '<script>alert("1")</script>'

    def spoiled(value: Any, key: str = "") -> Any:
        if isinstance(value, dict):
            return {name: spoiled(each, name) for name, each in value.items()}
        if isinstance(value, list):
            return [spoiled(each, key) for each in value]
        shown = isinstance(value, str) and key in ("description", "summary", "title", "enum")
        return f"{value}{hostile}" if shown else value

    made = page.html_of(spoiled(FOUND))
    assert "<script" not in made
    assert "&lt;script&gt;" in made


@pytest.mark.parametrize(
    ("text", "made"),
    [
        ("One\nline.\n\nTwo.", "<p>One line.</p><p>Two.</p>"),
        ("* a\n  b\n* `c` & d", "<ul><li>a b</li><li><code>c</code> &amp; d</li></ul>"),
        ("Text:\n* a", "<p>Text:</p><ul><li>a</li></ul>"),
        ("**Bold** and `**no**`", "<p><strong>Bold</strong> and <code>**no**</code></p>"),
        ("", ""),
    ],
)
def test_the_markdown_of_comments_becomes_html(text: str, made: str) -> None:
    assert markdown_html.blocks(text) == made


def test_each_operation_has_a_command_that_a_shell_can_read() -> None:
    for path, methods in FOUND["paths"].items():
        for method, operation in methods.items():
            words = shlex.split(curl_command.command(method, path, operation))
            assert words[0] == "curl"
            assert ("$auth" in words) == (operation.get("security") != [])
            names = set(re.findall(r"{(\w+)}", path))
            assert all(f"${{{name}}}" in words[2] for name in names)


def test_a_command_says_the_method_the_key_and_the_body() -> None:
    made = curl_command.command("post", "/v1/jobs", FOUND["paths"]["/v1/jobs"]["post"])
    assert made.startswith('curl --fail-with-body "$url/v1/jobs"')
    assert '--header "Idempotency-Key: $(uuidgen)"' in made
    assert "--json '{" in made
    path = "/v1/assets/{asset}"
    assert "--request DELETE" in curl_command.command("delete", path, FOUND["paths"][path]["delete"])
