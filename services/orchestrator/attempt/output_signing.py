"""Signs the finished video, and writes its manifest."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from services.orchestrator.attempt.file_digest import file_sha256
from services.orchestrator.attempt.signed_outputs import SignedOutputs
from services.orchestrator.domain.asset import Asset
from services.orchestrator.domain.card import ModelCard
from services.orchestrator.domain.job import Job
from services.orchestrator.domain.manifest import Manifest, MarkedBy, Unsigned, claim, manifest
from services.orchestrator.domain.media_info import VideoInfo
from services.orchestrator.domain.signed_output import SignedOutput
from services.orchestrator.ports.clock_and_ids import Clock
from services.orchestrator.ports.content_credentials import CannotSign, FileSigner


@dataclass(frozen=True, slots=True)
class FinishedVideo:
    """A video as it is delivered."""

    asset: Asset
    path: Path | None
    """The file to store; None: an earlier attempt has stored it."""
    manifest: Manifest
    unsigned_because: str = ""
    """Why it is not signed; empty: it is."""


@dataclass(frozen=True, slots=True)
class OutputSigning:
    """Signs files before they are stored."""

    signer: FileSigner
    signed_outputs: SignedOutputs
    clock: Clock

    async def finish(
        self,
        job: Job,
        card: ModelCard,
        info: VideoInfo,
        path: Path,
        sha256: str,
        *,
        promised: Mapping[str, str],
        made_with: Mapping[str, str],
        marked_by: MarkedBy | None = None,
    ) -> FinishedVideo:
        """Returns the signed video, or the file as it is if it cannot be signed. Raises Unavailable."""
        unsigned = Unsigned(sha256, path.stat().st_size, marked_by)
        signed: SignedOutput | None = await self.signed_outputs.earlier(job, sha256)
        file: Path | None = None
        because = ""
        if signed is None:
            to_sign = claim(job, card, info, unsigned, made_with)
            try:
                file = await asyncio.to_thread(self.signer.sign, path, info.media_type, to_sign)
            except CannotSign as refused:
                file, because = path, str(refused)
            else:
                digest = await asyncio.to_thread(file_sha256, file)
                signed = SignedOutput(job.tenant, digest, file.stat().st_size, sha256, self.signer.identity)
                await self.signed_outputs.note(job, signed, path.parent)
        digest, size = (signed.sha256, signed.size_bytes) if signed else (unsigned.sha256, unsigned.size_bytes)
        asset = Asset(job.tenant, job.user, digest, size, info, self.clock.now(), promised)
        made = manifest(
            job,
            card,
            asset,
            unsigned,
            made_with,
            version=self.signer.version,
            signed_by=signed.signed_by if signed else None,
            unsigned_because=because,
        )
        return FinishedVideo(asset, file, made, because)
