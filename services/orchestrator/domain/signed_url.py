"""Tokens of signed URLs: which asset of whom may be read until when, signed, so that no row is needed.

A token is `signed.`, the fields as JSON in URL-safe base64, a point, and an HMAC-SHA-256 of all before the point. The
fields can be read by anyone who has the URL: they hold no secret.
"""

import base64
import hmac
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

PREFIX = "signed."
"""No API key and no JWT begins so."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class SignedUrl:
    """What a signed URL names."""

    tenant: str
    user: str
    sha256: str
    variant: str
    """Name of a rendition; empty: the asset itself."""
    download_name: str
    """Under which a browser saves the file; empty: it shows the file."""
    expire_time: datetime
    """In whole seconds."""


def sign(url: SignedUrl, key: bytes) -> str:
    """Returns the token of a URL, in characters that need no escapes in a path."""
    seconds = (url.expire_time - EPOCH) // timedelta(seconds=1)
    fields = [url.tenant, url.user, url.sha256, url.variant, url.download_name, seconds]
    text = PREFIX + _base64(json.dumps(fields, separators=(",", ":")).encode())
    return f"{text}.{_tag(text, key)}"


def read(token: str, key: bytes) -> SignedUrl | None:
    """Returns what a token names, whether it has expired or not; None if it is not one of this key."""
    text, _, tag = token.rpartition(".")
    # The tag is compared as text, so each URL has one spelling.
    if not token.isascii() or not text.startswith(PREFIX) or not hmac.compare_digest(tag, _tag(text, key)):
        return None
    encoded = text.removeprefix(PREFIX)
    fields = json.loads(base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)))
    tenant, user, sha256, variant, name, seconds = fields
    return SignedUrl(tenant, user, sha256, variant, name, EPOCH + timedelta(seconds=seconds))


def _tag(text: str, key: bytes) -> str:
    return _base64(hmac.digest(key, f"i2v url {text}".encode(), "sha256"))


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
