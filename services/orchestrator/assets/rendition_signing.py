"""Pictures that show a generated video say so: they are signed before they are stored."""

import asyncio
import logging
from dataclasses import dataclass, replace
from pathlib import Path

from services.errors import Unavailable
from services.orchestrator.domain.asset import Asset
from services.orchestrator.domain.manifest import Manifest, rendition_claim
from services.orchestrator.domain.media_info import VideoInfo
from services.orchestrator.domain.rendition import SIGNED, Rendition
from services.orchestrator.ports.content_credentials import CannotSign, FileSigner
from services.orchestrator.ports.library_meter import LibraryMeter
from services.orchestrator.ports.manifests import Manifests
from services.orchestrator.ports.renditions import Made

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RenditionSigning:
    """Signs the renditions of generated videos. Those of uploads stay as they are."""

    signer: FileSigner
    manifests: Manifests
    meter: LibraryMeter

    async def sign(self, asset: Asset, made: Made) -> Made:
        """Returns renditions, signed where that is possible. Raises Unavailable if the database cannot be reached."""
        if not isinstance(asset.info, VideoInfo) or not any(each.variant in SIGNED for each, _ in made.files):
            return made
        manifest = await self.manifests.of_bytes(asset.tenant, asset.sha256)
        if manifest is None:
            return made
        # One after the other: the children that sign also serve the jobs that end.
        return replace(made, files=tuple([await self._signed(manifest, each, path) for each, path in made.files]))

    async def _signed(self, manifest: Manifest, rendition: Rendition, path: Path) -> tuple[Rendition, Path]:
        if rendition.variant not in SIGNED:
            return rendition, path
        claim = rendition_claim(manifest, rendition.variant)
        try:
            signed = await asyncio.to_thread(self.signer.sign, path, rendition.media_type, claim)
        except (CannotSign, Unavailable) as error:
            log.warning("a rendition stays unsigned", extra={"variant": rendition.variant.value, "cause": str(error)})
            self.meter.rendition_unsigned(rendition.variant)
            return rendition, path
        return replace(rendition, size_bytes=signed.stat().st_size), signed
