"""The issuer's public keys, by key id. They are read in the background, and kept while they cannot be read again."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import jwt

from services import bounded_json
from services.errors import Unauthenticated, Unavailable
from services.orchestrator.tokens.key_source import KeysUnreadable
from services.reasons import AccessReason

KEYS_MOST = 100

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A public key."""

    public: Any
    """Of the package cryptography."""
    algorithm: str
    """The only one that it may be used with; empty: each that suits its kind."""


def keys_of(document: bytes) -> dict[str, SigningKey]:
    """Returns the keys of a JWKS by their ids. Secret keys, and those for other uses, are left out.

    Raises KeysUnreadable.
    """
    try:
        parsed = bounded_json.loads(document)
    except ValueError as error:
        raise KeysUnreadable(f"it is no JSON: {error}") from None
    listed = parsed.get("keys") if isinstance(parsed, dict) else None
    if not isinstance(listed, list):
        raise KeysUnreadable("it is no JWKS: it has no list `keys`")
    found = {}
    for each in listed[:KEYS_MOST]:
        if not isinstance(each, dict) or each.get("kty") not in ("RSA", "EC", "OKP") or each.get("use", "sig") != "sig":
            continue
        key_id, algorithm = each.get("kid", ""), each.get("alg", "")
        try:
            public = jwt.PyJWK({name: value for name, value in each.items() if name != "d"}).key
        except (jwt.PyJWTError, ValueError, TypeError):
            log.warning("a key of the issuer cannot be read", extra={"key_id": str(key_id)[:80]})
            continue
        if isinstance(key_id, str) and isinstance(algorithm, str):
            found[key_id] = SigningKey(public, algorithm)
    if not found:
        raise KeysUnreadable("it has no public key for signatures")
    return found


class SigningKeys:
    """The keys of one issuer."""

    def __init__(
        self,
        load: Callable[[], Awaitable[bytes]],
        count: Callable[[str], None],
        *,
        refresh_s: float,
        refetch_s: float,
    ) -> None:
        """`load` returns the JWKS, or raises KeysUnreadable. `count` gets `read` or `failed`.

        It is called every `refresh_s`, and earlier after an unknown key id, but not more often than every `refetch_s`.
        """
        self._load = load
        self._count = count
        self._refresh_s = refresh_s
        self._refetch_s = refetch_s
        self._keys: Mapping[str, SigningKey] = {}
        self._unknown = asyncio.Event()

    def get(self, key_id: str) -> SigningKey:
        """Returns a key; without an id the only one. Raises Unauthenticated, and Unavailable before the first read."""
        keys = self._keys
        if not keys:
            what = "The issuer's keys are not known yet. Try again in a moment."
            raise Unavailable(what, reason=AccessReason.TOKEN_KEYS_UNAVAILABLE)
        key = keys.get(key_id) or (next(iter(keys.values())) if not key_id and len(keys) == 1 else None)
        if key is None:
            self._unknown.set()
            what = "The issuer has no key with the id of this token."
            raise Unauthenticated(what, reason=AccessReason.TOKEN_KEY_UNKNOWN)
        return key

    async def read(self) -> None:
        """Reads the keys. Raises KeysUnreadable, and keeps those that it has."""
        self._keys = keys_of(await self._load())

    async def keep_reading(self) -> None:
        """Reads the keys again and again."""
        while True:
            failed = not await self._has_read()
            self._unknown.clear()
            await asyncio.sleep(self._refetch_s)
            if failed:
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, self._refresh_s - self._refetch_s)):
                    await self._unknown.wait()

    async def _has_read(self) -> bool:
        try:
            await self.read()
        except KeysUnreadable as error:
            self._count("failed")
            log.warning("the issuer's keys cannot be read", extra={"cause": str(error), "kept": len(self._keys)})
            return False
        self._count("read")
        return True
