"""The OpenAPI document against its sources, its standard and what the process really answers."""

import copy
import json
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate
from prometheus_client import CollectorRegistry
from starlette.routing import Route

from services.reasons import REASONS
from services.studio.app import open_app
from services.studio.openapi.description_routes import DOCUMENT
from services.studio.settings import Settings
from tools.openapi.__main__ import main

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
FOUND: dict[str, Any] = json.loads(DOCUMENT.read_text())


def operations() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields each operation with its method and path."""
    for path, methods in FOUND["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


OPERATIONS = dict(operations())


async def answered(http: httpx.AsyncClient, route: Route) -> set[str]:
    """Returns the methods and the path of a route: those that it does not answer with 405. HEAD goes with GET."""
    template = re.sub(r":\w+}", "}", route.path)
    path = re.sub(r"{\w+}", "0", template)
    found = set()
    for method in METHODS:
        if (await http.request(method, path)).status_code != 405:
            found.add(f"{method} {template}")
    return found


def closed() -> dict[str, Any]:
    """Returns the document with objects that have no other fields."""
    found = copy.deepcopy(FOUND)
    for schema in found["components"]["schemas"].values():
        if "properties" in schema:
            schema["additionalProperties"] = False
    return found


def test_the_document_is_current() -> None:
    assert main(["--check"]) == 0, "python -m tools.openapi writes it"


def test_the_document_is_openapi() -> None:
    validate(FOUND)


async def test_every_path_of_the_process_is_in_the_document_and_the_reverse() -> None:
    settings = Settings(listen="127.0.0.1:0", metrics_listen="", api="127.0.0.1:9")
    found: set[str] = set()
    async with (
        open_app(settings, registry=CollectorRegistry()) as app,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{app.port}", trust_env=False) as http,
    ):
        for route in app.routes:
            if ":path}" not in route.path and route.path != "/v1":  # they answer that there is nothing
                found |= await answered(http, route)
    assert found == set(OPERATIONS)


@pytest.mark.parametrize("name", OPERATIONS)
def test_each_operation_says_what_it_does_and_why_it_may_be_refused(name: str) -> None:
    operation = OPERATIONS[name]
    assert operation["summary"] and not operation["summary"].endswith(".")
    assert operation["tags"][0] in {tag["name"] for tag in FOUND["tags"]}
    for parameter in operation.get("parameters", ()):
        assert "$ref" in parameter or parameter["description"], parameter["name"]
    statuses = {int(status) for status in operation["responses"]}
    assert min(statuses) < 400
    assert all(answer["description"] for answer in operation["responses"].values())
    if operation.get("security") != []:
        assert {400, 401, 403, 429, 500, 503} <= statuses
    for status in statuses:
        assert status < 400 or operation["responses"][str(status)]["content"]


@pytest.mark.parametrize("name", [name for name, each in OPERATIONS.items() if "requestBody" in each])
def test_the_example_of_a_body_fits_its_schema(name: str) -> None:
    content = next(iter(OPERATIONS[name]["requestBody"]["content"].values()))
    if content["schema"].get("type") == "string":
        return  # bytes
    Draft202012Validator(closed() | content["schema"]).validate(content["example"])


def test_the_reasons_of_errors_are_reasons() -> None:
    words = set()
    for operation in OPERATIONS.values():
        for status, answer in operation["responses"].items():
            if int(status) >= 400:
                words |= set(re.findall(r"`([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)`", answer["description"]))
    assert len(words) > 20
    assert words <= set(REASONS) | {"ALL_OR_NOTHING", "EACH"}


def test_a_component_that_nothing_uses_is_not_there() -> None:
    used = set(re.findall(r"#/components/schemas/([\w.]+)", json.dumps(FOUND)))
    assert used == set(FOUND["components"]["schemas"])
