"""Each operation over HTTP answers as its RPC does: the same refusal with the same reason, or the same message."""

import json
import uuid
from typing import Any

import pytest

from services.studio.api_error import ApiError
from services.studio.caller import Caller
from services.studio.resources import json_message, transcoding
from services.studio.resources.binding import Binding
from services.studio.resources.bindings import BINDINGS
from services.studio.resources.calls import Calls
from services.studio.statuses import status_of
from tests.support.served_orchestrator import caller
from tests.support.studio_rig import Rig

VALUES = {"asset": "a" * 64, "variant": "poster", "model": "test-model"}
BODIES: tuple[dict[str, Any], ...] = ({}, {"filter": "type ="}, {"assets": []}, {"spec": {"model": "none"}})
"""Each is sent to the operations that have its fields."""
CASES = [
    (binding, body)
    for binding in BINDINGS
    for body in (BODIES if binding.body else BODIES[:1])
    if set(body) <= binding.body_fields
]


@pytest.mark.parametrize(
    ("binding", "body"),
    CASES,
    ids=lambda each: f"{each.method} {each.path}" if isinstance(each, Binding) else str(each),
)
async def test_an_operation_answers_as_its_rpc(own: Rig, binding: Binding, body: dict[str, Any]) -> None:
    variables = {name: VALUES.get(name, str(uuid.uuid4())) for name in binding.variables}
    key = str(uuid.uuid4())
    headers = {"Authorization": "Bearer studio-key", "I2V-User": own.user, "Idempotency-Key": key}
    sent = {"json": body} if binding.body else {}
    url = own.address + binding.path.format_map(variables)
    answer = await own.http.request(binding.method, url, headers=headers, **sent)

    message = transcoding.request(binding, path=transcoding.path_values(binding, variables), body=body, key=key)
    calls, who = Calls(own.i2v.channel, [binding], 10.0), Caller(caller(user=own.user))
    try:
        if binding.lines:
            found = await anext(calls.answers(binding, who, message))
        else:
            found = await calls.answer(binding, who, message)
    except ApiError as error:
        assert (answer.status_code, answer.json()["reason"]) == (status_of(error.failure), error.failure.reason)
        assert len(answer.json().get("violations", [])) == len(error.failure.violations)
    else:
        assert answer.status_code == binding.status
        assert set(answer.json()) == set(json.loads(json_message.to_json(found)))
