"""Shares: links under which anyone reads an asset or a collection until they expire or are revoked. Pure."""

import hashlib
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

PREFIX = "share."
"""Of the tokens: no API key, no JWT and no signed URL begins so."""
OPEN_MOST = 1000
"""Open shares of a user."""
UNLOCKED_FOR = timedelta(hours=1)
ATTEMPTS, ATTEMPT_EVERY = 10, timedelta(seconds=30)
"""Attempts at the pass phrase of a share that may be made at once, and the time in which one more becomes possible."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class ShareKey:
    """Names a share for its user."""

    tenant: str
    user: str
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A share."""

    key: ShareKey
    number: int
    """Grows from one share to the next."""
    asset: str
    """SHA-256; empty: a collection."""
    collection: str
    """Id of a collection; empty: an asset."""
    pass_phrase: str
    """What is stored of it; empty: the share has none."""
    create_time: datetime
    expire_time: datetime
    revoke_time: datetime | None = None
    views: int = 0
    view_time: datetime | None = None
    downloads: int = 0
    download_time: datetime | None = None

    def __repr__(self) -> str:
        return f"Share({self.number})"

    def is_open(self, now: datetime) -> bool:
        """Returns whether it can be read, if what it shares can be."""
        return self.revoke_time is None and now < self.expire_time


@dataclass(frozen=True, slots=True, kw_only=True)
class NewShare:
    """A share that is to be made."""

    key: ShareKey
    token_sha256: str
    asset: str
    collection: str
    pass_phrase: str
    create_time: datetime
    expire_time: datetime

    def __repr__(self) -> str:
        return f"NewShare({self.key!r})"


def token_of(secret: str) -> str:
    """Returns the token of a share. The secret has at least 128 random bits, in characters that a path may have."""
    return PREFIX + secret


def token_digest(token: str) -> str:
    """Returns what is stored of a token: it is random, so a fast digest protects it as well as a slow one."""
    return hashlib.sha256(token.encode()).hexdigest()


def unlock(share: Share, expire_time: datetime, key: bytes) -> str:
    """Returns what says until `expire_time`, in whole seconds, that a reader knows the pass phrase of a share."""
    seconds = (expire_time - EPOCH) // timedelta(seconds=1)
    return f"{seconds}.{_tag(share, seconds, key)}"


def is_unlocked(share: Share, given: str, now: datetime, key: bytes) -> bool:
    """Returns whether a share needs no pass phrase, or `given` is of `unlock` for it and holds still."""
    if not share.pass_phrase:
        return True
    text, _, tag = given.partition(".")
    if not (given.isascii() and text.isdigit() and len(text) <= 12):
        return False
    if not hmac.compare_digest(tag, _tag(share, int(text), key)):
        return False
    return now < EPOCH + timedelta(seconds=int(text))


def _tag(share: Share, seconds: int, key: bytes) -> str:
    text = f"i2v unlock {share.number} {seconds} {share.pass_phrase}"
    return hmac.new(key, text.encode(), "sha256").hexdigest()
