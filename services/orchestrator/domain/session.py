"""Sessions: credentials for some hours, each for a key or a JWT, and the tickets of links that begin them. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from services.orchestrator.domain.api_key import Scope

PREFIX, TICKET_PREFIX = "i2vs_", "i2vt_"
"""Of the tokens and the tickets: no API key, no JWT and no other token begins so."""
LASTS, TICKET_LASTS = timedelta(hours=12), timedelta(minutes=10)
MOST, MOST_OF_TENANT = 100, 10_000
"""Sessions and tickets of a user, and of all users of a tenant: of more, the oldest end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A session, or one that a ticket may still begin."""

    tenant: str
    user: str
    key: str
    """Id of the key that it stands for; empty: a JWT."""
    scopes: frozenset[Scope]
    create_time: datetime
    expire_time: datetime
    ticket_expire_time: datetime | None = None
    """Until then a ticket begins it. None: it has begun."""


def expire_time(now: datetime, of_credential: datetime | None) -> datetime:
    """Returns when a session ends that begins now, of a credential that expires at a time."""
    return now + LASTS if of_credential is None else min(now + LASTS, of_credential)
