"""Sends requests that schemathesis makes up out of the OpenAPI document, and compares the answers with it.

`python -m tools.fuzz_http` does it with the stack of `make run`. It makes jobs and what else a caller can make, as the
user `fuzz`. The same `--seed` sends the same requests. The exit code is 1 if an answer is a fault of the service or is
not as the document says.
"""

import argparse
import re
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hypothesis
import requests
import schemathesis
from hypothesis import HealthCheck, Phase
from hypothesis import strategies as st
from requests.auth import AuthBase
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
USER = {"I2V-User": "fuzz"}
ENDING = re.compile(r":(batchDelete|emptyTrash|revoke|rotate|removeAssets)$")
"""Operations after which what was there may be gone."""
ENDLESS = {"/v1/usage/events"}
"""Streams that do not end by themselves."""
LEFT_OUT = {"requestId", "etag", "timeout", "startTimeout", "priceMax", "capability", "quality", "resolution", "size"}
"""Fields whose values would almost always be refused: a made-up body without them is more often a right one."""
PATIENCE_S = 120.0
"""For the one video that is made."""


class _Caller(AuthBase):
    """Signs every request: also those from which the fuzzer took the credential, which would all be 401."""

    def __init__(self, key: str) -> None:
        self._key = key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Signs a request."""
        request.headers["Authorization"] = f"Bearer {self._key}"
        return request


@dataclass(slots=True)
class Fuzz:
    """A run."""

    url: str
    key: str
    seed: int
    examples: int
    """Of each operation, for requests that fit the document and again for those that do not."""
    session: requests.Session = field(default_factory=requests.Session)
    sent: dict[int, int] = field(default_factory=dict)
    """How many answers had each status."""
    refused: set[str] = field(default_factory=set)
    """The operations that refused each request."""
    timed: list[tuple[float, str]] = field(default_factory=list)
    """Seconds of each operation, with its name."""

    def run(self, only: str = "") -> Iterator[str]:
        """Yields each fault; `only`: of operations whose path begins so."""
        self.session.trust_env, self.session.auth = False, _Caller(self.key)
        known = self._known()
        schema = schemathesis.openapi.from_dict(_closed(self._json("GET", "/openapi.json")))
        schema.config.update(base_url=self.url)
        schemathesis.serializer.alias("application/partial-upload", "application/octet-stream")
        for found in schema.get_all_operations():
            assert isinstance(found, Ok), found
            operation = found.ok()
            if operation.path in ENDLESS or not operation.path.startswith(only):
                continue
            began = time.perf_counter()
            self.refused.add(operation.label)
            token = known["signed" if operation.path.startswith("/media/") else "shared"]
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                yield from self._of(operation, mode, known | {"token": token})
            if operation.method == "delete" or ENDING.search(operation.path):
                known = self._known()
            self.timed.append((time.perf_counter() - began, operation.label))

    def _of(self, operation: Any, mode: GenerationMode, known: dict[str, str]) -> Iterator[str]:
        faults: dict[str, str] = {}

        @hypothesis.seed(self.seed)
        @hypothesis.settings(
            max_examples=self.examples,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @hypothesis.given(case=operation.as_strategy(generation_mode=mode), exists=st.sampled_from([True, True, False]))
        def answers(case: Any, exists: bool) -> None:
            if exists:
                given = case.path_parameters or {}
                case.path_parameters = {name: known.get(name, value) for name, value in given.items()}
                case.body = _with_real_values(case.body, _values(known))
            response = case.call(session=self.session, headers=USER, timeout=60)
            self.sent[response.status_code] = self.sent.get(response.status_code, 0) + 1
            if response.status_code < 400:
                self.refused.discard(operation.label)
            try:
                case.validate_response(response, checks=CHECKS)
            except FailureGroup as group:
                for each in group.exceptions:
                    faults.setdefault(f"{type(each).__name__} {response.status_code}", str(each))
                faults.setdefault("request", case.as_curl_command())

        try:
            answers()
        except hypothesis.errors.Unsatisfiable:  # every request fits
            return
        if faults:
            yield f"{operation.label}, {mode.value}\n" + "\n".join(f"{name}: {text}" for name, text in faults.items())

    def _known(self) -> dict[str, str]:
        """Makes one of each thing, and returns their ids by the variables of paths."""
        video = self._json("POST", "/v1/videos", {"prompt": "a wave", "seconds": "1"})
        until = time.monotonic() + PATIENCE_S
        while video["status"] in ("queued", "in_progress") and time.monotonic() < until:
            time.sleep(0.2)
            video = self._json("GET", f"/v1/videos/{video['id']}")
        job = video["id"].removeprefix("video_")
        asset = self._json("GET", f"/v1/jobs/{job}")["output"]["asset"]
        collection = self._json("POST", "/v1/collections", {"title": "Roofs"})["name"]
        share = self._json("POST", "/v1/shares", {"asset": asset})
        signed = self._json("POST", f"/v1/{asset}:signUrl", {})
        names = [asset, collection, share["name"], *self._of_admins()]
        return {
            "id": video["id"],
            "job": job,
            "model": video["model"],
            "variant": "thumbnail-256",
            "digest": asset.removeprefix("assets/"),
            "shared": share["url"].rpartition("/")[2],
            "signed": signed["url"].rpartition("/")[2],
            **{name.split("/")[-2][:-1]: name.split("/")[-1] for name in names},
        }

    def _of_admins(self) -> list[str]:
        """Makes what only a tenant's admin can make, if the caller is one, and returns the names."""
        if self._send("GET", "/v1/keys").status_code == 403:
            return []
        key = self._json("POST", "/v1/keys", {"displayName": "fuzz", "scopes": ["READ"]})["key"]["name"]
        deletion = self._json("POST", "/v1/userDeletions", {"user": "gone"})["deletion"]["name"]
        hook = {"url": "https://example.com/hook", "eventTypes": ["job.succeeded"]}
        webhook = self._json("POST", "/v1/webhooks", hook)["endpoint"]["name"]
        return [key, webhook, deletion.replace("userDeletions", "deletions")]

    def _json(self, method: str, path: str, body: Any = None) -> Any:
        answer = self._send(method, path, body)
        if answer.status_code >= 400:
            raise RuntimeError(f"{method} {path} was refused: {answer.text}")
        return answer.json()

    def _send(self, method: str, path: str, body: Any = None) -> requests.Response:
        return self.session.request(method, self.url + path, headers=USER, json=body, timeout=60)


def _closed(document: dict[str, Any]) -> dict[str, Any]:
    """Returns the document with objects that have the fields in it alone.

    So bodies are not refused for their unknown fields, and an answer with a field that is not described is found.
    """
    for schema in document["components"]["schemas"].values():
        if "properties" in schema:
            schema.setdefault("additionalProperties", False)
    return document


def _values(known: dict[str, str]) -> dict[str, Any]:
    """Returns values that the service can do something with, by names of fields in JSON."""
    asset, collection = f"assets/{known['asset']}", f"collections/{known['collection']}"
    return {
        "asset": asset,
        "image": asset,
        "cover": asset,
        "names": [asset],
        "assets": [asset],
        "collection": collection,
        "model": known["model"],
        "duration": "1s",
        "expireIn": "60s",
        "prompt": "a wave",
        "filter": "type = video",
        "variant": "thumbnail-256",
        "spec": {"model": known["model"], "textToVideo": {"prompt": "a wave"}, "duration": "1s"},
    }


def _with_real_values(body: Any, values: dict[str, Any]) -> Any:
    """Returns a body with these values in the fields that it has, if they are of the same kind."""
    if isinstance(body, list):
        return [_with_real_values(each, values) for each in body]
    if not isinstance(body, dict):
        return body
    return {
        name: values[name] if isinstance(value, type(values.get(name, ...))) else _with_real_values(value, values)
        for name, value in body.items()
        if name not in LEFT_OUT
    }


def main(arguments: Sequence[str]) -> int:
    """Runs it. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.fuzz_http", description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:50080", help="of the HTTP process")
    parser.add_argument("--key", default="", help="the API key; default: that of the development stack")
    parser.add_argument("--examples", type=int, default=100, help="of each operation; default 100")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="operations whose path begins so")
    given = parser.parse_args(arguments)
    key = given.key or Path("var/dev-key").read_text().strip()
    fuzz, faults = Fuzz(given.url, key, given.seed, given.examples), 0
    for fault in fuzz.run(given.only):
        faults += 1
        print(f"FAULT {fault}\n", flush=True)
    slow = ", ".join(f"{name} {seconds:.1f} s" for seconds, name in sorted(fuzz.timed, reverse=True)[:5])
    statuses = ", ".join(f"{status}: {count}" for status, count in sorted(fuzz.sent.items()))
    print(f"{sum(fuzz.sent.values())} requests, {faults} with faults; answers by status: {statuses}")
    print(f"slowest: {slow}")
    print(f"refused every request: {', '.join(sorted(fuzz.refused)) or 'none'}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
