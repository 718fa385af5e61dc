"""UrlSignatures: signs the URLs of our own HTTP process, and reads them again."""

from dataclasses import dataclass

from services.errors import Unauthenticated
from services.orchestrator.domain import live_url, signed_url
from services.orchestrator.domain.live_url import LiveUrl
from services.orchestrator.domain.signed_url import SignedUrl
from services.orchestrator.ports.clock_and_ids import Clock
from services.orchestrator.ports.service_secrets import ServiceSecrets
from services.reasons import AccessReason

SECRET = "signed-urls"


@dataclass(frozen=True, slots=True)
class UrlSignatures:
    """The signatures of this service; all its processes share the key."""

    secrets: ServiceSecrets
    clock: Clock

    async def sign(self, url: SignedUrl | LiveUrl) -> str:
        """Returns the token of a URL. Raises Unavailable."""
        key = await self.secrets.secret(SECRET)
        return live_url.sign(url, key) if isinstance(url, LiveUrl) else signed_url.sign(url, key)

    async def read(self, token: str) -> SignedUrl | LiveUrl:
        """Returns what a token names. Raises Unauthenticated, Unavailable."""
        key = await self.secrets.secret(SECRET)
        is_live = token.startswith(live_url.PREFIX)
        url: SignedUrl | LiveUrl | None = live_url.read(token, key) if is_live else signed_url.read(token, key)
        if url is None:
            what = "The URL was altered, or was not made by this service."
            raise Unauthenticated(what, reason=AccessReason.SIGNED_URL_WRONG)
        if self.clock.now() >= url.expire_time:
            expired = url.expire_time.isoformat()
            what = f"The URL expired at {expired}. Get another one."
            raise Unauthenticated(what, reason=AccessReason.SIGNED_URL_EXPIRED, metadata={"expire_time": expired})
        return url
