"""What the claims of a verified JWT say: who calls, what they may do, and whether the token holds now."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from services.errors import Unauthenticated
from services.orchestrator.domain.api_key import Scope
from services.orchestrator.domain.tenant import ID
from services.reasons import AccessReason

SKEW_S = 30.0
"""Seconds by which the issuer's clock may be ahead."""
USER_CHARACTERS = 128


@dataclass(frozen=True, slots=True)
class Issuer:
    """Whose tokens are accepted, and what their claims mean."""

    issuer: str
    audience: str
    tenant_claim: str = "tenant"
    user_claim: str = "sub"
    scopes_claim: str = "scope"
    """A list of words, or a text of words between spaces. Words that are no scopes are ignored."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says of its bearer."""

    tenant: str
    user: str
    """Empty: it names none."""
    scopes: frozenset[Scope]
    expire_time: datetime


def claims_of(payload: Mapping[str, object], issuer: Issuer, now: datetime) -> Claims:
    """Returns the claims of a token whose signature was verified. Raises Unauthenticated."""
    if payload.get("iss") != issuer.issuer:
        raise Unauthenticated("The token is of another issuer.", reason=AccessReason.TOKEN_ISSUER)
    audience = payload.get("aud")
    if issuer.audience not in (audience if isinstance(audience, list) else [audience]):
        raise Unauthenticated("The token is for another service.", reason=AccessReason.TOKEN_AUDIENCE)
    expires = _seconds(payload, "exp")
    if expires is None:
        raise _malformed("exp")
    if expires <= now.timestamp():
        raise Unauthenticated("The token has expired.", reason=AccessReason.TOKEN_EXPIRED)
    for name in ("nbf", "iat"):
        begins = _seconds(payload, name)
        if begins is not None and begins > now.timestamp() + SKEW_S:
            what = f"The token's {name} is in the future."
            raise Unauthenticated(what, reason=AccessReason.TOKEN_NOT_YET_VALID)
    tenant = payload.get(issuer.tenant_claim)
    if not isinstance(tenant, str) or not ID.fullmatch(tenant):
        raise _malformed(issuer.tenant_claim)
    return Claims(tenant, _user(payload, issuer.user_claim), _scopes(payload, issuer.scopes_claim), _moment(expires))


def _user(payload: Mapping[str, object], name: str) -> str:
    user = payload.get(name, "")
    if (
        not isinstance(user, str)
        or len(user) > USER_CHARACTERS
        or not user.isprintable()
        or (user and not user.strip())
    ):
        raise _malformed(name)
    return user


def _scopes(payload: Mapping[str, object], name: str) -> frozenset[Scope]:
    given = payload.get(name, "")
    words = given.split() if isinstance(given, str) else given
    if not isinstance(words, list):
        raise _malformed(name)
    return frozenset(scope for scope in Scope if scope.value in words)


def _seconds(payload: Mapping[str, object], name: str) -> float | None:
    value = payload.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _malformed(name)
    return value


def _moment(seconds: float) -> datetime:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return datetime.max.replace(tzinfo=UTC)


def _malformed(name: str) -> Unauthenticated:
    what = f"The token's claim {name[:80]!r} is missing or malformed."
    return Unauthenticated(what, reason=AccessReason.TOKEN_MALFORMED, metadata={"claim": name[:80]})
