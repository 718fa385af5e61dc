"""The whole document, made of its parts."""

from collections.abc import Iterable, Mapping
from typing import Any

from tools.openapi.message_schemas import MessageSchemas, Schema
from tools.openapi.operation import JSON, Answer, Body, Events, Operation, Parameter, Part, Shape
from tools.openapi.problem_schema import PROBLEM

ABOUT = """
Pictures become videos, as durable, priced jobs. Everything here is also in the gRPC API: the same jobs, limits, events
and assets.

**Who calls.** `Authorization: Bearer` takes an API key or a token. It names the tenant. `I2V-User` names the end user
for whom the tenant calls. What a key may do is its scopes. The page of this service uses the cookie of a session
instead, which counts for requests of this page alone.

**JSON** is that of protobuf: names in lowerCamelCase, times as RFC 3339 (`2026-11-30T12:00:00Z`), lengths of time in
seconds (`2.500s`), bytes in base64. A number of 64 bits is a text in answers, and a text or a number in requests. A
reader ignores fields that it does not know; the service refuses them.

**Errors** are problem details (RFC 9457) with a `reason`, a stable word for programs. `/v1/videos` and `/v1/models`
have errors in OpenAI's form instead. A refusal charges nothing and loses nothing.

**Once.** A request that makes something takes an `Idempotency-Key`: the same request with the same key does it once.
"""
USER = "User"


def document(parts: Iterable[Part], schemas: MessageSchemas, version: str) -> dict[str, Any]:
    """Returns the document. Raises ValueError if two operations have one path and method, or one id."""
    paths: dict[str, dict[str, Any]] = {}
    components: dict[str, Schema] = {"Problem": PROBLEM}
    tags: list[dict[str, str]] = []
    ids: set[str] = set()
    for part in parts:
        if part.tag not in {tag["name"] for tag in tags}:
            tags.append({"name": part.tag, "description": part.description})
        components |= part.schemas
        for each in part.operations:
            methods = paths.setdefault(each.path, {})
            if each.method in methods or each.operation_id in ids:
                raise ValueError(f"{each.operation_id} is there twice, by its id or by {each.method} {each.path}")
            ids.add(each.operation_id)
            methods[each.method] = _operation(part.tag, each, schemas)
    return {
        "openapi": "3.1.1",
        "jsonSchemaDialect": "https://spec.openapis.org/oas/3.1/dialect/base",
        "info": {"title": "i2v", "version": version, "summary": "Videos from pictures", "description": ABOUT.strip()},
        "servers": [{"url": "/", "description": "The process that serves this document."}],
        "security": [{"bearer": []}],
        "tags": tags,
        "paths": paths,
        "components": {
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "An API key, or a token (JWT)."}
            },
            "parameters": {
                USER: {
                    "name": "I2V-User",
                    "in": "header",
                    "description": "The end user for whom the tenant calls, in ASCII. Default: `default`.",
                    "schema": {"type": "string", "minLength": 1, "maxLength": 128},
                }
            },
            "schemas": dict(sorted((components | schemas.components).items())),
        },
    }


def _operation(tag: str, given: Operation, schemas: MessageSchemas) -> dict[str, Any]:
    found: dict[str, Any] = {"operationId": given.operation_id, "tags": [tag], "summary": given.summary}
    if given.description:
        found["description"] = given.description
    if not given.needs_key:
        found["security"] = []
    parameters = [_parameter(each, schemas) for each in given.parameters]
    if given.needs_key:
        parameters.append({"$ref": f"#/components/parameters/{USER}"})
    if parameters:
        found["parameters"] = parameters
    if given.body is not None:
        found["requestBody"] = _body(given.body, schemas)
    found["responses"] = {str(status): _answer(each, schemas) for status, each in sorted(given.answers.items())}
    return found


def _parameter(given: Parameter, schemas: MessageSchemas) -> dict[str, Any]:
    found: dict[str, Any] = {"name": given.name, "in": given.where, "description": given.description}
    if given.required or given.where == "path":
        found["required"] = True
    found["schema"] = _shape(given.schema, schemas)
    if given.example is not None:
        found["example"] = given.example
    return found


def _body(given: Body, schemas: MessageSchemas) -> dict[str, Any]:
    found: dict[str, Any] = {"description": given.description} if given.description else {}
    found["required"] = given.required
    found["content"] = {kind: {"schema": _shape(shape, schemas)} for kind, shape in given.contents.items()}
    if given.example is not None:
        found["content"][next(iter(given.contents))]["example"] = given.example
    if given.file:
        found["x-file"] = given.file
    return found


def _answer(given: Answer, schemas: MessageSchemas) -> dict[str, Any]:
    found: dict[str, Any] = {"description": given.description}
    if given.headers:
        found["headers"] = {
            name: {"description": text, "schema": {"type": "string"}} for name, text in given.headers.items()
        }
    if given.contents:
        found["content"] = {kind: {"schema": _shape(shape, schemas)} for kind, shape in given.contents.items()}
        if given.example is not None:
            found["content"][next(iter(given.contents))]["example"] = given.example
    return found


def _shape(given: Shape, schemas: MessageSchemas) -> Mapping[str, Any]:
    if isinstance(given, str):
        return schemas.reference(given)
    if not isinstance(given, Events):
        return given
    data = {
        "type": "string",
        "description": "JSON.",
        "contentMediaType": JSON,
        "contentSchema": {"anyOf": [schemas.reference(each) for each in given.messages]},
    }
    return {
        "type": "object",
        "description": "Each event of the stream.",
        "required": ["event", "data"],
        "properties": {
            "event": {"type": "string", "description": "The kind of the event."},
            "id": {"type": "string", "description": "Its number, for `Last-Event-ID`."},
            "data": data,
        },
    }
