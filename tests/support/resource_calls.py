"""Calls of the API's own resources over HTTP, by a user of the tests' tenant."""

from typing import Any

import httpx

from tests.support.studio_rig import Rig

KEY = {"Authorization": "Bearer studio-key"}
SPEC = {"model": "test-model", "textToVideo": {"prompt": "a wave"}, "duration": "1s"}


async def call(rig: Rig, method: str, path: str, **options: Any) -> httpx.Response:
    """Returns the answer. `options` are those of httpx; `headers` may replace the key."""
    options["headers"] = KEY | {"I2V-User": rig.user} | options.get("headers", {})
    return await rig.http.request(method, rig.address + path, **options)
