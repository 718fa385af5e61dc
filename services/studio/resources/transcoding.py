"""From a request of HTTP to the request of an RPC, by a binding. Pure."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from services.errors import Violation
from services.reasons import HttpReason
from services.rpc.status_codes import Failure
from services.studio import idempotency
from services.studio.problem import json_path
from services.studio.refused_request import RefusedRequest
from services.studio.resources import json_message, query
from services.studio.resources.binding import WHOLE, Binding

PART = re.compile(r"[A-Za-z0-9._~-]{1,128}")
"""Of a path: an id. Names of files that mean a folder are none."""


def path_values(binding: Binding, variables: Mapping[str, str]) -> dict[str, str]:
    """Returns what a path says, by fields of the request. Raises RefusedRequest."""
    for name, text in variables.items():
        if not PART.fullmatch(text) or text in (".", ".."):
            sentence = f"There is nothing at this path: {name!r} is no id."
            raise RefusedRequest(sentence, reason=HttpReason.PATH_MALFORMED, param=name, status=404)
    return {field: template.format_map(variables) for field, template in binding.fills.items()}


def request(
    binding: Binding,
    *,
    path: Mapping[str, str],
    query_string: bytes = b"",
    body: Mapping[str, object] | None = None,
    key: str | None = None,
    etag: str = "",
) -> Message:
    """Returns the request of the RPC.

    Args:
        binding: The operation.
        path: From `path_values`.
        query_string: As it came.
        body: None: there was none.
        key: Of `Idempotency-Key`; None: there was none.
        etag: Of `If-Match`, without quotes; empty: there was none.

    Raises:
        RefusedRequest: a field is unknown, or has a wrong value, or comes from two places.
    """
    made = GetMessageClass(binding.request)()
    message: Any = made
    if binding.body and body:
        part = message if binding.body == WHOLE else getattr(message, binding.body)
        json_message.read(part, body, binding.body_fields)
        if binding.body != WHOLE:
            part.SetInParent()
    query.read(message, query_string, binding.query_fields)
    if binding.mask and not message.HasField(binding.mask):
        assert binding.body_type is not None
        paths = _paths(binding.body_type, body or {})
        getattr(message, binding.mask).paths.extend(path for path in paths if path not in ("name", "etag"))
    for field, value in path.items():
        _set(message, field, value)
    if etag:
        _set(message, binding.etag, etag, header="If-Match")
    if binding.key:
        _set_keys(binding, message, key)
    return made


def as_asked(binding: Binding, failure: Failure) -> Failure:
    """Returns a failure with the fields as they are over HTTP: those of the path, of the body, and of JSON."""
    from_path = {field: ", ".join(re.findall(r"\{(\w+)\}", text)) for field, text in binding.fills.items()}
    inside = f"{binding.body}." if binding.body not in ("", WHOLE) else ""

    def asked(field: str) -> str:
        return from_path.get(field) or json_path(field.removeprefix(inside))

    violations = tuple(Violation(asked(each.field), each.description, each.reason) for each in failure.violations)
    return Failure(
        failure.code,
        failure.message,
        failure.reason,
        failure.metadata,
        violations,
        failure.limits,
        failure.retry_after_s,
    )


def _paths(message: Descriptor, value: Mapping[str, object], prefix: str = "") -> Iterator[str]:
    """Yields the paths of the fields that an object has, for a field mask."""
    for name, item in value.items():
        field = json_message.field_named(message, name)
        assert field is not None, "the message was read from the object"
        inner = None if json_message.is_whole(field) else field.message_type
        if inner is None or not isinstance(item, dict) or not item:
            yield f"{prefix}{field.name}"
        else:
            yield from _paths(inner, item, f"{prefix}{field.name}.")


def _set(message: Any, path: str, value: str, *, header: str = "") -> None:
    *parents, last = path.split(".")
    for parent in parents:
        message = getattr(message, parent)
    if header and getattr(message, last) and getattr(message, last) != value:
        sentence = f"The header {header} and this field differ. Send one of them."
        raise RefusedRequest(sentence, reason=HttpReason.FIELD_DUPLICATE, param=json_path(last))
    setattr(message, last, value)


def _set_keys(binding: Binding, message: Any, key: str | None) -> None:
    """Sets the request_id, that of a part, or those of a list of requests, that the body does not give."""
    *parent, field = binding.key.split(".")
    found = getattr(message, parent[0]) if parent else message
    is_list = not isinstance(found, Message)
    for number, each in enumerate(found if is_list else [found]):
        if key is None and getattr(each, field):
            continue
        of_part = f"{key}/{number}" if key is not None and is_list else key
        _set(each, field, idempotency.request_id(of_part), header="Idempotency-Key")
