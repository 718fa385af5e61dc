"""The document as a page for people: no script, nothing from elsewhere."""

import html
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from services.studio.openapi import curl_command, markdown_html, schema_html
from services.studio.openapi.page_style import STYLE

Document = dict[str, Any]

Found = tuple[str, str, dict[str, Any]]
"""Method, path and operation."""


def html_of(document: Document) -> str:
    """Returns the page."""
    info = document["info"]
    tags = [(tag, list(_operations(document, tag["name"]))) for tag in document["tags"]]
    tags = [(tag, found) for tag, found in tags if found]
    about = markdown_html.blocks(info["description"])
    sections = "".join(_section(document, tag, found) for tag, found in tags)
    schemas = "".join(_schema(name, each) for name, each in document["components"]["schemas"].items())
    title = f'{html.escape(info["title"])} <span class="quiet">{html.escape(info["version"])}</span>'
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(info['title'])}: HTTP API</title><style>{STYLE}</style></head><body>"
        '<a class="skip" href="#main">To the text</a>'
        f'<header><h1>{title}</h1><a href="openapi.json">openapi.json</a></header>'
        f'<nav aria-label="Contents">{_contents(tags)}</nav>'
        f'<main id="main"><section>{about}<p>The commands expect:</p>{_code(curl_command.GIVEN)}</section>'
        f'{sections}<section id="schemas"><h2>Schemas</h2>{schemas}</section></main></body></html>'
    )


def _operations(document: Document, tag: str) -> Iterator[Found]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if tag in operation["tags"]:
                yield method, path, operation


def _contents(tags: list[tuple[dict[str, str], list[Found]]]) -> str:
    groups = ""
    for tag, found in tags:
        links = "".join(
            f'<li><a href="#{html.escape(each["operationId"])}">{html.escape(each["summary"])}</a></li>'
            for _, _, each in found
        )
        groups += f'<li><a class="tag" href="#{_slug(tag["name"])}">{html.escape(tag["name"])}</a><ul>{links}</ul></li>'
    return f'<ul>{groups}<li><a class="tag" href="#schemas">Schemas</a></li></ul>'


def _section(document: Document, tag: dict[str, str], found: list[Found]) -> str:
    name = html.escape(tag["name"])
    operations = "".join(_operation(document, *each) for each in found)
    text = markdown_html.blocks(tag.get("description", ""))
    return f'<section id="{_slug(tag["name"])}"><h2>{name}</h2>{text}{operations}</section>'


def _operation(document: Document, method: str, path: str, operation: dict[str, Any]) -> str:
    key = html.escape(operation["operationId"])
    # A path breaks after its slashes.
    address = html.escape(path).replace("/", "/<wbr>")
    open_to_all = "" if operation.get("security") != [] else '<p class="quiet">Needs no key.</p>'
    parts = [
        f'<article id="{key}"><h3><a href="#{key}">{html.escape(operation["summary"])}</a></h3>'
        f'<p class="line"><span class="method {method}">{method.upper()}</span> <code>{address}</code></p>',
        markdown_html.blocks(operation.get("description", "")),
        open_to_all,
        _parameters(document, operation),
        _body(document, operation),
        _answers(operation),
        _code(curl_command.command(method, path, operation)),
        "</article>",
    ]
    return "".join(parts)


def _parameters(document: Document, operation: dict[str, Any]) -> str:
    given = [_resolved(document, each) for each in operation.get("parameters", ())]
    # The user's header is explained at the top.
    shown = [each for each in given if each["name"] != "I2V-User"]
    if not shown:
        return ""
    rows = "".join(
        f"<div><dt><code>{html.escape(each['name'])}</code>"
        f"{schema_html.NEEDED if each.get('required') else ''}"
        f'<br><span class="kind">{each["in"]}, {schema_html.kind(each["schema"])}</span></dt>'
        f"<dd>{markdown_html.blocks(each.get('description', ''))}</dd></div>"
        for each in shown
    )
    return f'<h4>Parameters</h4><dl class="fields">{rows}</dl>'


def _resolved(document: Document, given: dict[str, Any]) -> dict[str, Any]:
    if reference := given.get("$ref"):
        found: dict[str, Any] = document["components"]["parameters"][reference.rpartition("/")[2]]
        return found
    return given


def _body(document: Document, operation: dict[str, Any]) -> str:
    if (body := operation.get("requestBody")) is None:
        return ""
    kinds = "".join(_content(document, kind, content["schema"]) for kind, content in body["content"].items())
    return f"<h4>Body</h4>{markdown_html.blocks(body.get('description', ''))}{kinds}"


def _content(document: Document, kind: str, schema: dict[str, Any]) -> str:
    """Returns a body of one type: the name of its schema with a link, and its fields."""
    link = f" {schema_html.kind(schema)}" if "$ref" in schema else ""
    if reference := schema.get("$ref"):
        schema = {**document["components"]["schemas"][reference.rpartition("/")[2]], "description": ""}
    shown = schema_html.body(schema) if "properties" in schema else ""
    return f'<p><span class="quiet">{html.escape(kind)}</span>{link}</p>{shown}'


def _answers(operation: dict[str, Any]) -> str:
    good, bad = "", ""
    for status, answer in operation["responses"].items():
        row = _answer(int(status), answer)
        if int(status) < 400:
            good += row
        else:
            bad += row
    errors = f'<details><summary>Errors</summary><dl class="fields">{bad}</dl></details>' if bad else ""
    return f'<h4>Answers</h4><dl class="fields">{good}</dl>{errors}'


def _answer(status: int, answer: dict[str, Any]) -> str:
    kinds = ", ".join(
        f'{schema_html.kind(content["schema"])} <span class="quiet">{html.escape(kind)}</span>'
        for kind, content in answer.get("content", {}).items()
        if status < 400
    )
    headers = "".join(
        f"<li><code>{html.escape(name)}</code>: {markdown_html.inline(each['description'])}</li>"
        for name, each in answer.get("headers", {}).items()
    )
    return (
        f'<div><dt><strong>{status}</strong> <span class="quiet">{HTTPStatus(status).phrase}</span></dt>'
        f"<dd>{markdown_html.blocks(answer['description'])}{kinds and f'<p>{kinds}</p>'}"
        f"{headers and f'<ul>{headers}</ul>'}</dd></div>"
    )


def _schema(name: str, schema: dict[str, Any]) -> str:
    shown, fragment = html.escape(name), html.escape(schema_html.anchor(name))
    return f'<article id="{fragment}"><h3><a href="#{fragment}">{shown}</a></h3>{schema_html.body(schema)}</article>'


def _code(text: str) -> str:
    return f'<pre tabindex="0"><code>{html.escape(text)}</code></pre>'


def _slug(name: str) -> str:
    return html.escape("-".join(name.lower().split()))
