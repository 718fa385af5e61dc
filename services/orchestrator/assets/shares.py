"""Sharing: makes links to assets and collections."""

import base64
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from services.errors import InvalidInput, RequestIdReused, Violation
from services.orchestrator.assets.pass_phrases import PassPhrases
from services.orchestrator.domain import pass_phrase
from services.orchestrator.domain.share import NewShare, Share, ShareKey, token_digest, token_of
from services.orchestrator.ports.clock_and_ids import Clock
from services.orchestrator.ports.shares import Shares
from services.reasons import LibraryReason

SECRET_BYTES = 32
SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a user wants to share, and how."""

    asset: str
    """SHA-256; empty: a collection."""
    collection: str
    """Its id; empty: an asset."""
    expire_in: timedelta | None
    """None: the usual time."""
    pass_phrase: str

    def __repr__(self) -> str:
        return f"Wish({self.asset or self.collection!r})"


@dataclass(frozen=True, slots=True)
class Sharing:
    """Makes shares."""

    shares: Shares
    pass_phrases: PassPhrases
    clock: Clock
    usual: timedelta
    longest: timedelta
    random_bytes: Callable[[int], bytes] = secrets.token_bytes

    async def create(self, key: ShareKey, wish: Wish) -> tuple[Share, str]:
        """Makes a share, and returns it with its token: empty for a repeat, because the token is kept nowhere.

        Raises:
            InvalidInput: the time or the pass phrase is refused.
            RequestIdReused: the same id came with another wish.
            NotFound: there is no such target, or it is in the trash.
            PreconditionFailed: the user has too many open shares.
            Unavailable: the database cannot be reached, or too many pass phrases are hashed now.
        """
        time = self._time(wish)
        if wish.pass_phrase and (wrong := pass_phrase.problem(wish.pass_phrase)):
            raise _refuse("pass_phrase", wrong, LibraryReason.PASS_PHRASE_MALFORMED)
        found, token = await self.shares.find(key), ""
        if found is None:
            token, salt = self._token(), self.random_bytes(pass_phrase.SALT_BYTES)
            hashed, now = await self.pass_phrases.hashed(wish.pass_phrase, salt), self.clock.now()
            new = NewShare(
                key=key,
                token_sha256=token_digest(token),
                asset=wish.asset,
                collection=wish.collection,
                pass_phrase=hashed,
                create_time=now,
                expire_time=now + time,
            )
            found, is_new = await self.shares.create(new)
            if is_new:
                return found, token
        await self._demand_same(found, wish, time)
        return found, ""

    def _time(self, wish: Wish) -> timedelta:
        """Returns how long a share will hold. Raises InvalidInput."""
        time = min(self.usual, self.longest) if wish.expire_in is None else wish.expire_in
        if not SECOND <= time <= self.longest:
            most = f"{self.longest.days} days" if self.longest.days else f"{self.longest // SECOND} s"
            what = f"is {time // SECOND} s; 1 s to {most} are allowed"
            raise _refuse("expire_in", what, LibraryReason.SHARE_EXPIRY_OUT_OF_RANGE)
        return time

    async def _demand_same(self, found: Share, wish: Wish, time: timedelta) -> None:
        given = (wish.asset, wish.collection, time)
        same = given == (found.asset, found.collection, found.expire_time - found.create_time)
        if not same or not await self.pass_phrases.matches(wish.pass_phrase, found.pass_phrase):
            raise RequestIdReused(metadata={"name": f"shares/{found.key.id}"})

    def _token(self) -> str:
        return token_of(base64.urlsafe_b64encode(self.random_bytes(SECRET_BYTES)).decode().rstrip("="))


def _refuse(field: str, description: str, reason: LibraryReason) -> InvalidInput:
    return InvalidInput([Violation(field, description, reason)], reason=reason)
