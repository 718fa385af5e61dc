"""Tokens of live URLs: whose job may be watched by players until when, signed, so that no row is needed."""

from dataclasses import dataclass
from datetime import datetime

from services.orchestrator.domain import signed_token

PREFIX = "live."
"""No API key, no JWT and no other token begins so."""


@dataclass(frozen=True, slots=True)
class LiveUrl:
    """What a live URL names."""

    tenant: str
    user: str
    job_id: str
    expire_time: datetime
    """In whole seconds."""


def sign(url: LiveUrl, key: bytes) -> str:
    """Returns the token of a URL, in characters that need no escapes in a query."""
    return signed_token.sign(PREFIX, (url.tenant, url.user, url.job_id, signed_token.seconds_of(url.expire_time)), key)


def read(token: str, key: bytes) -> LiveUrl | None:
    """Returns what a token names, whether it has expired or not; None if it is not one of this key."""
    fields = signed_token.read(PREFIX, token, key)
    if fields is None:
        return None
    tenant, user, job_id, seconds = fields
    return LiveUrl(tenant, user, job_id, signed_token.time_of(seconds))
