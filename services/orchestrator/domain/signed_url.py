"""Tokens of signed URLs: which asset of whom may be read until when, signed, so that no row is needed."""

from dataclasses import dataclass
from datetime import datetime

from services.orchestrator.domain import signed_token

PREFIX = "signed."
"""No API key and no JWT begins so."""


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
    expires = signed_token.seconds_of(url.expire_time)
    fields = (url.tenant, url.user, url.sha256, url.variant, url.download_name, expires)
    return signed_token.sign(PREFIX, fields, key)


def read(token: str, key: bytes) -> SignedUrl | None:
    """Returns what a token names, whether it has expired or not; None if it is not one of this key."""
    fields = signed_token.read(PREFIX, token, key)
    if fields is None:
        return None
    tenant, user, sha256, variant, name, seconds = fields
    return SignedUrl(tenant, user, sha256, variant, name, signed_token.time_of(seconds))
