"""Quote tokens: a price for one spec of one user, signed, so that it needs no row.

A token is the URL-safe base64 of 57 bytes: its version, when it expires (milliseconds since 1970), the price (micros),
digests of the caller and spec that it is for and of the version of the prices, and the first 16 bytes of an
HMAC-SHA-256 over all of them. The token has no secret and no text of the caller.
"""

import base64
import binascii
import hashlib
import hmac
import json
import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

VERSION = 1
FIELDS = struct.Struct(">BQQ16s8s")
TAG_BYTES = 16
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)


class Refusal(StrEnum):
    """Why a token does not hold for a job, in the order in which it is examined."""

    MALFORMED = "malformed"
    """It is no token of this service, or was changed."""
    FOREIGN = "foreign"
    """It is for another tenant, user or spec."""
    EXPIRED = "expired"
    STALE = "stale"
    """The price, or the version of the prices, is another one now."""


@dataclass(frozen=True, slots=True)
class Quote:
    """A price for one spec of one user."""

    tenant: str
    user: str
    fingerprint: str
    """Of the spec as requested."""
    quote_micros: int
    prices_version: str


def sign(quote: Quote, expire_time: datetime, key: bytes) -> str:
    """Returns the token of a quote; 76 characters. Less than a millisecond of the time is cut off."""
    expires = (expire_time - EPOCH) // MILLISECOND
    packed = FIELDS.pack(VERSION, expires, quote.quote_micros, _parties(quote), _prices(quote))
    return base64.urlsafe_b64encode(packed + _tag(packed, key)).decode()


def refusal(token: str, quote: Quote, now: datetime, key: bytes) -> Refusal | None:
    """Returns why a token does not hold for what a job costs now; None if it does."""
    packed = _verified(token, key)
    if packed is None:
        return Refusal.MALFORMED
    _, expires, quote_micros, parties, prices = FIELDS.unpack(packed)
    if parties != _parties(quote):
        return Refusal.FOREIGN
    if now >= EPOCH + expires * MILLISECOND:
        return Refusal.EXPIRED
    if (quote_micros, prices) != (quote.quote_micros, _prices(quote)):
        return Refusal.STALE
    return None


def quote_id(token: str) -> str:
    """Returns the short name of a token for jobs and ledgers, 12 hexadecimal digits; empty without a token."""
    return hashlib.sha256(token.encode()).hexdigest()[:12] if token else ""


def _verified(token: str, key: bytes) -> bytes | None:
    """Returns the signed fields of a token; None if it is not one of this key."""
    try:
        decoded = base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True)
    except (UnicodeEncodeError, binascii.Error):
        return None
    packed, tag = decoded[:-TAG_BYTES], decoded[-TAG_BYTES:]
    if len(packed) != FIELDS.size or packed[0] != VERSION or not hmac.compare_digest(tag, _tag(packed, key)):
        return None
    # Python reads other spellings of the same bytes too, but a token has one name.
    return packed if base64.urlsafe_b64encode(decoded).decode() == token else None


def _tag(packed: bytes, key: bytes) -> bytes:
    return hmac.digest(key, b"i2v quote" + packed, "sha256")[:TAG_BYTES]


def _parties(quote: Quote) -> bytes:
    named = json.dumps([quote.tenant, quote.user, quote.fingerprint]).encode()
    return hashlib.sha256(named).digest()[:16]


def _prices(quote: Quote) -> bytes:
    return hashlib.sha256(quote.prices_version.encode()).digest()[:8]
