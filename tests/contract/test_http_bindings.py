"""The table of HTTP's operations, against the API's access rules and the protos."""

import re

import pytest
from google.protobuf.descriptor import Descriptor
from starlette.routing import Match

from services.orchestrator.api.access_rules import RULES
from services.studio.request_body import Bodies
from services.studio.resources import query
from services.studio.resources.binding import WHOLE, Binding
from services.studio.resources.bindings import BINDINGS, UNBOUND
from services.studio.resources.routes import routes
from tests.support.documented_commands import ROOT

OF_TENANTS = {f"{service}.{name}" for service, rules in RULES.items() for name, rule in rules.items() if rule.scopes}
EACH = pytest.mark.parametrize("binding", BINDINGS, ids=lambda each: f"{each.method} {each.path}")


def test_everything_that_a_tenant_may_call_is_bound_or_says_why_not() -> None:
    bound = [each.rpc for each in BINDINGS]
    assert set(bound) | set(UNBOUND) == OF_TENANTS
    assert len(bound) == len(set(bound)), "two operations of one RPC"
    assert not set(bound) & set(UNBOUND)


def test_no_rpc_of_operators_alone_and_no_other_credential_has_a_binding() -> None:
    for service, rules in RULES.items():
        for name, rule in rules.items():
            if not rule.scopes:
                assert f"{service}.{name}" not in {each.rpc for each in BINDINGS}


def test_each_operation_has_its_own_method_and_path() -> None:
    assert len({(each.method, each.path) for each in BINDINGS}) == len(BINDINGS)


def field(message: Descriptor, path: str) -> bool:
    first, _, rest = path.partition(".")
    found = message.fields_by_name.get(first)
    return found is not None and (not rest or (found.message_type is not None and field(found.message_type, rest)))


@EACH
def test_an_operation_names_fields_that_there_are(binding: Binding) -> None:
    for path in (*binding.fills, *filter(None, (binding.key, binding.etag)), *binding.hidden):
        assert field(binding.request, path), path
    variables = [name for text in binding.fills.values() for name in re.findall(r"{(\w+)}", text)]
    assert sorted(variables) == sorted(binding.variables)
    if binding.body not in ("", WHOLE):
        assert field(binding.request, binding.body)
    if binding.location:
        assert field(binding.response, binding.location.partition("{")[2].rstrip("}"))
    assert binding.lines == binding.descriptor.server_streaming


@EACH
def test_a_query_has_only_fields_that_are_texts(binding: Binding) -> None:
    for name in binding.query_fields:
        assert query.is_scalar(binding.request.fields_by_name[name]), name


@EACH
def test_no_request_names_a_tenant_and_none_needs_one(binding: Binding) -> None:
    assert "tenant" not in binding.body_fields | binding.query_fields


@EACH
def test_a_request_id_comes_from_the_idempotency_key(binding: Binding) -> None:
    if "request_id" in binding.request.fields_by_name:
        assert binding.key == "request_id"


@EACH
def test_an_etag_comes_from_if_match(binding: Binding) -> None:
    part = binding.request if binding.body in ("", WHOLE) else binding.body_type
    assert part is not None
    assert bool(binding.etag) == ("etag" in part.fields_by_name and binding.method in ("PATCH", "DELETE"))


@EACH
def test_a_path_is_answered_by_its_own_route(binding: Binding) -> None:
    path = re.sub(r"{\w+}", "x1", binding.path)
    scope = {"type": "http", "path": path, "method": binding.method, "headers": []}
    made = routes(BINDINGS, calls=None, bodies=Bodies(), stall_s=1)  # type: ignore[arg-type]
    first = next(each for each in made if each.matches(scope)[0] is not Match.NONE)
    assert first.path == binding.path


def test_every_operation_is_a_command_of_the_page() -> None:
    page = (ROOT / "docs/http.md").read_text()
    called = re.findall(r"curl (.*?)(?<!\\)\n", page, re.DOTALL)
    for binding in BINDINGS:
        path = re.escape(binding.path)
        pattern = r'"\$url' + re.sub(r"\\{\w+\\}", r"[^/:\"?]+", path) + r'(\?[^"]*)?"'
        found = [call for call in called if re.search(pattern, call)]
        assert any(_method(call) == binding.method for call in found), f"{binding.method} {binding.path}"


def _method(call: str) -> str:
    named = re.search(r"--request (\w+)", call)
    return named[1] if named else "POST" if "--json" in call else "GET"
