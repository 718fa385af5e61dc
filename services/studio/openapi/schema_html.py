"""JSON schemas as HTML: a type in a few words with links, and an object as a table of its fields."""

import html
from typing import Any

from services.studio.openapi import markdown_html

Schema = dict[str, Any]
PREFIX = "#/components/schemas/"
NEEDED = ' <span class="needed">required</span>'


def anchor(name: str) -> str:
    """Returns the fragment of a schema of the components."""
    return f"schema-{name}"


def kind(schema: Schema) -> str:
    """Returns what a value is, in a few words."""
    if reference := schema.get("$ref"):
        name = str(reference).removeprefix(PREFIX)
        return f'<a href="#{html.escape(anchor(name))}">{html.escape(name)}</a>'
    if "const" in schema:
        return f"<code>{html.escape(str(schema['const']))}</code>"
    if "enum" in schema:
        return " | ".join(f"<code>{html.escape(str(each))}</code>" for each in schema["enum"])
    if choices := schema.get("oneOf") or schema.get("anyOf"):
        return " or ".join(kind(each) for each in choices)
    if item := schema.get("contentSchema"):
        return f"JSON: {kind(item)}"
    types = schema.get("type", "any value")
    if types == "array":
        return f"list of {kind(schema.get('items', {}))}"
    if types == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"map to {kind(schema['additionalProperties'])}"
    return html.escape(" or ".join(types) if isinstance(types, list) else types) + _limits(schema)


def _limits(schema: Schema) -> str:
    facts = []
    if form := schema.get("format") or schema.get("contentEncoding"):
        facts.append(str(form))
    least, most = schema.get("minimum"), schema.get("maximum")
    if not str(schema.get("format", "")).startswith(("int", "uint")) and (least is not None or most is not None):
        facts.append(f"{least} to {most}" if most is not None else f"from {least}")
    if (longest := schema.get("maxLength")) is not None:
        facts.append(f"at most {longest:,} characters")
    if "default" in schema:
        facts.append(f"default {schema['default']}")
    return f'<span class="quiet">, {html.escape(", ".join(facts))}</span>' if facts else ""


def body(schema: Schema) -> str:
    """Returns a schema with its description and its fields."""
    if "$ref" in schema:
        return f"<p>{kind(schema)}</p>"
    made = markdown_html.blocks(schema.get("description", ""))
    if "properties" in schema:
        return made + _fields(schema) + _choices(schema)
    if "enum" in schema and made:
        return made
    return f"{made}<p>{kind(schema)}</p>"


def _fields(schema: Schema) -> str:
    required = schema.get("required", ())
    rows = "".join(_field(name, each, name in required) for name, each in schema["properties"].items())
    return f'<dl class="fields">{rows}</dl>'


def _field(name: str, schema: Schema, is_required: bool) -> str:
    needed = NEEDED if is_required else ""
    text = markdown_html.blocks(schema.get("description", ""))
    inner = schema.get("items", schema) if schema.get("type") == "array" else schema
    if "properties" in inner:
        text += _fields(inner)
    for each in inner.get("oneOf", ()):
        text += _fields(each) if "properties" in each else ""
    return (
        f"<div><dt><code>{html.escape(name)}</code>{needed}<br>"
        f'<span class="kind">{kind(schema)}</span></dt><dd>{text}</dd></div>'
    )


def _choices(schema: Schema) -> str:
    made = ""
    for choice in schema.get("allOf", ()):
        names = [each["required"][0] for each in choice.get("oneOf", ()) if "required" in each]
        at_most = any("not" in each for each in choice.get("oneOf", ()))
        listed = ", ".join(f"<code>{html.escape(name)}</code>" for name in names)
        made += f"<p>{'At most' if at_most else 'Exactly'} one of {listed}.</p>"
    return made
