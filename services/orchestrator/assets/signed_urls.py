"""SignedUrls: URLs under which anyone reads an asset until they expire."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from services.content_disposition import file_name
from services.errors import InvalidInput, PreconditionFailed, Violation
from services.orchestrator.assets.url_signatures import UrlSignatures
from services.orchestrator.domain.asset import Asset
from services.orchestrator.domain.rendition import Rendition, rendition_key
from services.orchestrator.domain.signed_url import SignedUrl
from services.orchestrator.ports.blobs import Blobs
from services.orchestrator.ports.clock_and_ids import Clock
from services.reasons import AssetReason

USUAL = timedelta(minutes=15)
SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class SignedUrls:
    """Signs URLs: of the S3 store where the bytes are in one, else of our HTTP process."""

    blobs: Blobs
    signatures: UrlSignatures
    clock: Clock
    studio_url: str
    """`https://host`, how clients reach our HTTP process; empty: they do not."""
    longest: timedelta

    async def sign(
        self, asset: Asset, rendition: Rendition | None, *, expire_in: timedelta | None, download_name: str
    ) -> tuple[str, datetime]:
        """Returns a URL of an asset or of a rendition of it, and when it expires. None: after the usual time.

        Raises:
            InvalidInput: it would hold for too long, or for less than a second.
            PreconditionFailed: the bytes are in a folder that no HTTP client can read.
            Unavailable: the database or the store cannot be reached.
        """
        seconds = (min(USUAL, self.longest) if expire_in is None else expire_in) // SECOND
        if not 1 <= seconds <= self.longest // SECOND:
            what = f"is {seconds} s; 1 to {self.longest // SECOND} s are allowed"
            reason = AssetReason.URL_EXPIRY_OUT_OF_RANGE
            raise InvalidInput([Violation("expire_in", what, reason)], reason=reason)
        name, expire_time = file_name(download_name), self.clock.now().replace(microsecond=0) + seconds * SECOND
        key, media_type, variant = asset.key, asset.info.media_type, ""
        if rendition is not None:
            key = rendition_key(asset.tenant, asset.sha256, rendition.variant)
            media_type, variant = rendition.media_type, rendition.variant.value
        url = await self.blobs.signed_url(key, expires_s=seconds, download_name=name, media_type=media_type)
        if url is not None:
            return url, expire_time
        if not self.studio_url:
            what = "The service keeps its bytes in a folder, and has no address for HTTP clients. Use ReadAsset."
            raise PreconditionFailed(what, reason=AssetReason.SIGNED_URLS_UNAVAILABLE)
        named = SignedUrl(asset.tenant, asset.user, asset.sha256, variant, name, expire_time)
        token = await self.signatures.sign(named)
        return f"{self.studio_url.rstrip('/')}/media/{token}", expire_time
