"""Webhooks as a vendor sends them."""

import time
import urllib.error
import urllib.request

from services.providers.webhook_verification import signature


def post(url: str, body: bytes, headers: dict[str, str]) -> int:
    """Sends a webhook. Returns the status of the answer. Blocking."""
    request = urllib.request.Request(url, data=body, headers=headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def signed(secret: str, body: bytes) -> dict[str, str]:
    """The headers of a webhook that is signed now."""
    stamp = str(int(time.time()))
    return {"webhook-id": "1", "webhook-timestamp": stamp, "webhook-signature": signature(secret, "1", stamp, body)}
