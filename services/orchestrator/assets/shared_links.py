"""SharedLinks: what the reader of a share gets. The answer is the same for every way in which it ended."""

from dataclasses import dataclass
from datetime import datetime

from services.errors import LimitReached, NotFound, PermissionDenied
from services.orchestrator.assets.pass_phrases import PassPhrases
from services.orchestrator.assets.renditions import OnDemandRenditions
from services.orchestrator.domain import share as domain
from services.orchestrator.domain.rendition import Rendition
from services.orchestrator.domain.share import ATTEMPTS, UNLOCKED_FOR, Share
from services.orchestrator.domain.shared import SharedAsset, SharedPage, SharedPlace
from services.orchestrator.ports.clock_and_ids import Clock
from services.orchestrator.ports.meter import Meter
from services.orchestrator.ports.service_secrets import ServiceSecrets
from services.orchestrator.ports.shares import Shares
from services.reasons import LibraryReason

SECRET = "share-unlocks"


def not_shared() -> NotFound:
    """Returns the refusal of every token that shows nothing: the same for every cause."""
    what = "This link shows nothing: it has ended, what it showed was deleted, or it never was one."
    return NotFound("share", "", message=what)


@dataclass(frozen=True, slots=True)
class SharedLinks:
    """Reads shares. Every method raises NotFound and Unavailable, and all but `unlock` PermissionDenied."""

    shares: Shares
    renditions: OnDemandRenditions
    secrets: ServiceSecrets
    pass_phrases: PassPhrases
    clock: Clock
    meter: Meter

    async def unlock(self, share: Share, text: str) -> tuple[str, datetime]:
        """Returns what says that a reader knows the pass phrase, and until when.

        Raises PermissionDenied for a wrong pass phrase, LimitReached for too many attempts.
        """
        now = self.clock.now()
        if await self.shares.shown(share, now, limit=1) is None:
            raise self._absent()
        if not share.pass_phrase:
            raise self._wrong()
        again = await self.shares.attempt(share, now)
        if again is not None:
            self.meter.pass_phrase("refused")
            what = "Too many pass phrases were tried at this share. Wait, and try again."
            after_s = max(1.0, (again - now).total_seconds())
            reason = LibraryReason.PASS_PHRASE_ATTEMPTS
            raise LimitReached(what, limit=ATTEMPTS, reason=reason, retry_after_s=after_s)
        if not await self.pass_phrases.matches(text, share.pass_phrase):
            raise self._wrong()
        await self.shares.succeeded(share)
        self.meter.pass_phrase("right")
        until = now.replace(microsecond=0) + UNLOCKED_FOR
        return domain.unlock(share, until, await self.secrets.secret(SECRET)), until

    async def page(self, share: Share, unlock: str, after: SharedPlace | None, limit: int) -> SharedPage:
        """Returns what a share shows."""
        found = await self.shares.shown(share, self.clock.now(), after=after, limit=limit)
        if found is None:
            raise self._absent()
        await self._demand_unlocked(share, unlock)
        self.meter.shared_read("page")
        return found

    async def file(self, share: Share, unlock: str, sha256: str, variant: str) -> tuple[SharedAsset, Rendition | None]:
        """Returns an asset that a share shows, and a rendition of it unless the variant is empty.

        Raises InvalidInput, PreconditionFailed for a variant that the asset does not have.
        """
        found = await self.shares.asset(share, sha256, self.clock.now())
        if found is None:
            raise self._absent()
        await self._demand_unlocked(share, unlock)
        rendition = await self.renditions.get(found.asset, variant) if variant else None
        self.meter.shared_read("file")
        return found, rendition

    async def _demand_unlocked(self, share: Share, given: str) -> None:
        if share.pass_phrase and not domain.is_unlocked(
            share, given, self.clock.now(), await self.secrets.secret(SECRET)
        ):
            self.meter.shared_read("locked")
            what = "This share has a pass phrase. Call UnlockShared."
            raise PermissionDenied(what, reason=LibraryReason.PASS_PHRASE_NEEDED)

    def _absent(self) -> NotFound:
        self.meter.shared_read("absent")
        return not_shared()

    def _wrong(self) -> PermissionDenied:
        self.meter.pass_phrase("wrong")
        return PermissionDenied("This is not the pass phrase of this share.", reason=LibraryReason.PASS_PHRASE_WRONG)
