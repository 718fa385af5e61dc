"""An operation as a command of curl."""

import json
import shlex
from typing import Any

GIVEN = 'url=http://127.0.0.1:50080\nauth="Authorization: Bearer $(cat var/dev-key)"'
"""What the commands expect."""
LINE = 60
FORMS = ("multipart/form-data", "application/x-www-form-urlencoded")


def command(method: str, path: str, operation: dict[str, Any]) -> str:
    """Returns the command. Parameters of the path are variables of the shell with their names."""
    address = path.replace("{", "${")
    options = [f'curl --fail-with-body "$url{address}{_query(operation)}"']
    body = operation.get("requestBody")
    if method not in ("get", "post") or (method == "post" and body is None):
        options.append(f"--request {method.upper()}")
    if operation.get("security") != []:
        options.append('--header "$auth"')
    names = {each.get("name", "") for each in operation.get("parameters", [])}
    if "Idempotency-Key" in names:
        options.append('--header "Idempotency-Key: $(uuidgen)"')
    if "If-Match" in names:
        options.append('--header "If-Match: $etag"')
    if body is not None:
        options.append(_body(body))
    return " \\\n  ".join(options)


def _query(operation: dict[str, Any]) -> str:
    given = [
        f"{each['name']}={each.get('example', '…')}"
        for each in operation.get("parameters", [])
        if each.get("in") == "query" and (each.get("required") or "example" in each)
    ]
    return f"?{'&'.join(given)}" if given else ""


def _body(body: dict[str, Any]) -> str:
    kind, content = next(iter(body["content"].items()))
    if file := body.get("x-file"):
        return f"--header 'Content-Type: {kind}' --data-binary @{file}"
    example = content.get("example", {})
    if kind in FORMS:
        option = "--form" if kind == FORMS[0] else "--data-urlencode"
        return " ".join(f"{option} {shlex.quote(f'{name}={value}')}" for name, value in example.items())
    if kind.endswith("json"):
        return f"--json {shlex.quote(_written(example))}"
    return f"--header 'Content-Type: {kind}' --data-binary {shlex.quote(str(example))}"


def _written(example: Any) -> str:
    """Returns JSON on one line if it is short."""
    line = json.dumps(example, ensure_ascii=False)
    return line if len(line) <= LINE else json.dumps(example, ensure_ascii=False, indent=2)
