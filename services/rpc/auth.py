"""Who calls: an API key says which tenant, a second field says for which of its users.

The tenant comes from the key alone. A token is handed to `verify` and to nobody else: it is never logged or kept.
"""

import hashlib
import hmac
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass

from services.errors import InvalidInput, Unauthenticated, Violation

AUTHORIZATION = "authorization"
USER = "i2v-user"
USER_DEFAULT = "default"
USER_CHARACTERS = 128
OPEN = ("/grpc.health.v1.", "/grpc.reflection.")
"""Methods that anybody may call: probes have no keys."""

Verify = Callable[[str], Awaitable[str]]
"""From a token to its tenant. Raises Unauthenticated."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who makes the call that is being answered."""

    tenant: str
    user: str


_principal: ContextVar[Principal] = ContextVar("principal")


def principal() -> Principal:
    """Returns who makes the call that is being answered. Raises LookupError outside of one, and in an open method."""
    return _principal.get()


def one_key(key: str, caller: str) -> Verify:
    """Returns what lets in whoever shows this key, as `caller`."""
    known = hashlib.sha256(key.encode()).digest()

    async def verify(token: str) -> str:
        # Digests are of one length, so that the comparison tells nothing of the key's.
        if not hmac.compare_digest(hashlib.sha256(token.encode()).digest(), known):
            raise Unauthenticated(reason="API_KEY_UNKNOWN")
        return caller

    return verify


def is_open(method: str) -> bool:
    """Whether a method, `/package.Service/Method`, is answered without a key."""
    return method.startswith(OPEN)


def demand_single(pairs: Sequence[tuple[str, str | bytes]]) -> None:
    """Raises InvalidInput if the caller's identity is sent more than once: a proxy might use another one than we do."""
    for key in (AUTHORIZATION, USER):
        if sum(name == key for name, _ in pairs) > 1:
            raise InvalidInput(
                [Violation(key, "is sent more than once; send it once", "METADATA_REPEATED")],
                reason="METADATA_REPEATED",
            )


async def authenticate(metadata: Mapping[str, str | bytes], verify: Verify) -> Principal:
    """Finds out who calls and makes it known to `principal()`.

    Raises:
        Unauthenticated: no key, or not a known one.
        InvalidInput: the user's name cannot be one.
    """
    scheme, _, token = _text(metadata, AUTHORIZATION).partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token:
        raise Unauthenticated(reason="API_KEY_MISSING")
    user = _text(metadata, USER) if USER in metadata else USER_DEFAULT
    if not 1 <= len(user) <= USER_CHARACTERS or not user.isprintable() or not user.strip():
        description = f"has {len(user)} characters; give 1 to {USER_CHARACTERS} printable ones, or leave it out"
        raise InvalidInput([Violation(USER, description, "USER_MALFORMED")], reason="USER_MALFORMED")
    who = Principal(await verify(token), user)
    _principal.set(who)
    return who


def _text(metadata: Mapping[str, str | bytes], key: str) -> str:
    value = metadata.get(key, "")
    return value.decode(errors="replace") if isinstance(value, bytes) else value
