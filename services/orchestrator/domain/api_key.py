"""An API key of a tenant: what it may do, and how long it works. The key's text is kept nowhere."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from services.errors import InvalidInput, PreconditionFailed, Violation
from services.reasons import AccessReason

NAME_CHARACTERS = 128
OVERLAP_MOST = timedelta(days=30)
"""The longest time that a rotated key continues to work."""


class Scope(StrEnum):
    """What a key may do."""

    SUBMIT = "submit"
    """Preview, submit, resume and cancel jobs."""
    READ = "read"
    """See and watch jobs, and download assets."""
    ASSETS = "assets"
    """Upload assets, see and download them."""
    USAGE = "usage"
    """See limits, usage and the ledger."""
    TENANT_ADMIN = "tenant-admin"
    """Make and revoke keys of the tenant, delete its users, make webhooks, and read its part of the audit log."""


USUAL = frozenset(Scope) - {Scope.TENANT_ADMIN}
"""The scopes of keys that were made without naming any."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key."""

    id: str
    tenant: str
    name: str
    """For people."""
    scopes: frozenset[Scope] = USUAL
    create_time: datetime | None = None
    expire_time: datetime | None = None
    """From this moment on it does not work. None: no end."""
    revoke_time: datetime | None = None
    last_use_time: datetime | None = None
    """Up to a minute old."""

    def works_at(self, now: datetime) -> bool:
        """Whether the key works at a moment."""
        return self.revoke_time is None and (self.expire_time is None or now < self.expire_time)


def demand_name(name: str, field: str = "name") -> None:
    """Raises InvalidInput if a text is no name for a key or an operator."""
    if not 1 <= len(name) <= NAME_CHARACTERS or not name.isprintable() or not name.strip():
        what = f"has {len(name)} characters; give 1 to {NAME_CHARACTERS} printable ones"
        raise InvalidInput([Violation(field, what, AccessReason.KEY_NAME_MALFORMED)])


def demand_future(expire_time: datetime | None, now: datetime) -> None:
    """Raises InvalidInput if a key would expire before it is made."""
    if expire_time is not None and expire_time <= now:
        what = f"is {expire_time.isoformat()}; give a time in the future, or none"
        raise InvalidInput([Violation("expire_time", what, AccessReason.EXPIRE_TIME_PAST)])


def demand_overlap(overlap: timedelta) -> None:
    """Raises InvalidInput if a rotated key cannot continue to work for so long."""
    if not timedelta() <= overlap <= OVERLAP_MOST:
        what = f"is {overlap.total_seconds():g} s; 0 s to {OVERLAP_MOST.days} days are allowed"
        raise InvalidInput([Violation("overlap", what, AccessReason.OVERLAP_OUT_OF_RANGE)])


def retire(key: ApiKey, now: datetime, overlap: timedelta) -> ApiKey:
    """Ends a key after an overlap, or at its own expiry if that is earlier. Raises PreconditionFailed."""
    if not key.works_at(now):
        what = f"The key {key.id} does not work any more. Create another one."
        raise PreconditionFailed(what, reason=AccessReason.KEY_ENDED, metadata={"key": key.id})
    end = now + overlap
    return replace(key, expire_time=end if key.expire_time is None else min(end, key.expire_time))


def revoke(key: ApiKey, now: datetime) -> ApiKey:
    """Ends a key now; a revoked one stays as it is."""
    return key if key.revoke_time is not None else replace(key, revoke_time=now)
