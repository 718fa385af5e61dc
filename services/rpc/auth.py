"""Authenticates callers: the API key names the tenant, a second field names one of its users.

The tenant comes from the key alone. A token is passed to `verify` only: it is never logged or stored.
"""

import hashlib
import hmac
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass

from services.errors import InvalidInput, Unauthenticated, Violation
from services.reasons import CallReason

AUTHORIZATION = "authorization"
USER = "i2v-user"
USER_DEFAULT = "default"
USER_CHARACTERS = 128
OPEN = ("/grpc.health.v1.", "/grpc.reflection.")
"""Methods that need no key: probes have none."""

Verify = Callable[[str], Awaitable[str]]
"""From a token to its tenant. Raises Unauthenticated."""


@dataclass(frozen=True, slots=True)
class Principal:
    """The caller of the current call."""

    tenant: str
    user: str


_principal: ContextVar[Principal] = ContextVar("principal")


def principal() -> Principal:
    """Returns the caller of the current call. Raises LookupError outside of a call, and in an open method."""
    return _principal.get()


def one_key(key: str, caller: str) -> Verify:
    """Returns a check that accepts this key alone, as the tenant `caller`."""
    known = hashlib.sha256(key.encode()).digest()

    async def verify(token: str) -> str:
        # Digests have one length, so that the comparison does not reveal the length of the key.
        if not hmac.compare_digest(hashlib.sha256(token.encode()).digest(), known):
            raise Unauthenticated(reason=CallReason.API_KEY_UNKNOWN)
        return caller

    return verify


def is_open(method: str) -> bool:
    """Returns whether a method, `/package.Service/Method`, is answered without a key."""
    return method.startswith(OPEN)


def demand_single(pairs: Sequence[tuple[str, str | bytes]]) -> None:
    """Raises InvalidInput if the caller's identity is sent more than once: a proxy might use another one than we do."""
    for key in (AUTHORIZATION, USER):
        if sum(name == key for name, _ in pairs) > 1:
            raise InvalidInput(
                [Violation(key, "is sent more than once; send it once", CallReason.METADATA_REPEATED)],
                reason=CallReason.METADATA_REPEATED,
            )


async def authenticate(metadata: Mapping[str, str | bytes], verify: Verify) -> Principal:
    """Returns the caller, and sets what `principal()` returns.

    Raises:
        Unauthenticated: there is no key, or it is not known.
        InvalidInput: the user's name is not valid.
    """
    scheme, _, token = _text(metadata, AUTHORIZATION).partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token:
        raise Unauthenticated(reason=CallReason.API_KEY_MISSING)
    user = _text(metadata, USER) if USER in metadata else USER_DEFAULT
    if not 1 <= len(user) <= USER_CHARACTERS or not user.isprintable() or not user.strip():
        description = f"has {len(user)} characters; give 1 to {USER_CHARACTERS} printable ones, or leave it out"
        raise InvalidInput([Violation(USER, description, CallReason.USER_MALFORMED)], reason=CallReason.USER_MALFORMED)
    caller = Principal(await verify(token), user)
    _principal.set(caller)
    return caller


def _text(metadata: Mapping[str, str | bytes], key: str) -> str:
    value = metadata.get(key, "")
    return value.decode(errors="replace") if isinstance(value, bytes) else value
