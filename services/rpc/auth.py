"""Authenticates callers: a credential names the tenant, a second field names one of its users.

The tenant comes from the credential alone. Its text is passed to `verify` only: it is never logged or stored.
"""

import hashlib
import hmac
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass

from services.errors import InvalidInput, PermissionDenied, Unauthenticated, Violation
from services.reasons import AccessReason, CallReason

AUTHORIZATION = "authorization"
USER = "i2v-user"
USER_DEFAULT = "default"
USER_CHARACTERS = 128
OPEN = ("/grpc.health.v1.", "/grpc.reflection.")
"""Methods that need no key: probes have none."""


@dataclass(frozen=True, slots=True)
class Credential:
    """What a service knows of a valid key or token. A service may add facts in a subclass."""

    tenant: str
    user: str = ""
    """The only user that it may name; empty: any."""


Verify = Callable[[str], Awaitable[Credential]]
"""From the text of a key or token to what is known of it. Raises Unauthenticated."""


@dataclass(frozen=True, slots=True)
class Principal:
    """The caller of the current call."""

    credential: Credential
    user: str

    @property
    def tenant(self) -> str:
        """The tenant of the credential."""
        return self.credential.tenant


Authorize = Callable[[str, Principal], None]
"""Raises ServiceError if a caller may not call a method, `/package.Service/Method`."""


_principal: ContextVar[Principal] = ContextVar("principal")


def principal() -> Principal:
    """Returns the caller of the current call. Raises LookupError outside of a call, and in an open method."""
    return _principal.get()


def bearer(key: str) -> tuple[tuple[str, str], ...]:
    """Returns the metadata of a call with a key; without one there are none."""
    return ((AUTHORIZATION, f"Bearer {key}"),) if key else ()


def one_key(key: Callable[[], str], caller: str) -> Verify:
    """Returns a check that accepts one key alone, as it is now, as the tenant `caller`."""
    credential = Credential(caller)

    async def verify(token: str) -> Credential:
        # Digests have one length, so that the comparison does not reveal the length of the key.
        known, given = (hashlib.sha256(text.encode()).digest() for text in (key(), token))
        if not hmac.compare_digest(given, known):
            raise Unauthenticated(reason=CallReason.API_KEY_UNKNOWN)
        return credential

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
        PermissionDenied: the token names another user.
    """
    scheme, _, token = _text(metadata, AUTHORIZATION).partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token:
        raise Unauthenticated(reason=CallReason.API_KEY_MISSING)
    user = _text(metadata, USER) if USER in metadata else ""
    if USER in metadata and not (1 <= len(user) <= USER_CHARACTERS and user.isprintable() and user.strip()):
        description = f"has {len(user)} characters; give 1 to {USER_CHARACTERS} printable ones, or leave it out"
        raise InvalidInput([Violation(USER, description, CallReason.USER_MALFORMED)], reason=CallReason.USER_MALFORMED)
    credential = await verify(token)
    if user and credential.user and user != credential.user:
        what = f"The token is for another user than {USER} names. Leave {USER} out."
        raise PermissionDenied(what, reason=AccessReason.USER_MISMATCH)
    caller = Principal(credential, user or credential.user or USER_DEFAULT)
    _principal.set(caller)
    return caller


def _text(metadata: Mapping[str, str | bytes], key: str) -> str:
    value = metadata.get(key, "")
    return value.decode(errors="replace") if isinstance(value, bytes) else value
