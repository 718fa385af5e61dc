"""ShareTokens: the tokens of shares as credentials. A share is cached for seconds; what it shows is read each time."""

from collections.abc import Awaitable, Callable

from services.orchestrator.api.credential import ShareCredential
from services.orchestrator.api.lookup_cache import LookupCache
from services.orchestrator.assets.shared_links import not_shared
from services.orchestrator.domain.share import Share, token_digest
from services.orchestrator.ports.clock_and_ids import Clock
from services.orchestrator.ports.meter import Meter


class ShareTokens:
    """The tokens that one process has read."""

    def __init__(self, find: Callable[[str], Awaitable[Share | None]], clock: Clock, meter: Meter) -> None:
        """`find` returns the share of a token by its digest; None: there is none, or its tenant is not active."""
        self._shares: LookupCache[Share] = LookupCache(find, clock)
        self._clock = clock
        self._meter = meter

    async def read(self, token: str) -> ShareCredential:
        """Returns the credential of a share that is open. Raises NotFound, Unavailable."""
        hashed = token_digest(token)
        share = await self._shares.get(hashed)
        if share is None or not share.is_open(self._clock.now()):
            self._meter.shared_read("absent")
            raise not_shared()
        return ShareCredential(share.key.tenant, share.key.user, share=share, token_sha256=hashed)

    async def demand_not_ended(self, credential: ShareCredential) -> None:
        """Raises NotFound if the share was revoked, or has gone. What began before it expired goes on to its end."""
        share = await self._shares.get(credential.token_sha256)
        if share is None or share.revoke_time is not None:
            raise not_shared()

    def forget(self) -> None:
        """Makes every cached share old."""
        self._shares.forget()
