"""The inputs of a generation: the job's assets, as the backend needs them."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from services.orchestrator.domain.asset import Asset
from services.orchestrator.domain.job import Job
from services.orchestrator.ports.assets import Assets
from services.orchestrator.ports.backend import Input
from services.orchestrator.ports.blobs import Blobs


@dataclass(frozen=True, slots=True)
class Inputs:
    """Reads the assets that a job names."""

    assets: Assets
    blobs: Blobs

    async def picture(self, job: Job) -> bytes | None:
        """Returns the file of the job's picture for an engine of our own; None if it has none."""
        sha256 = job.spec.operation.assets.get("image")
        if not sha256:
            return None
        asset = await self._asset(job, sha256)
        return b"".join([chunk async for chunk in self.blobs.read(asset.key)])

    async def files(self, job: Job, folder: Path) -> tuple[Input, ...]:
        """Copies the job's assets into a folder, for a remote model.

        Complete files, so that the submission cannot fail because an input cannot be read; never whole in memory.
        """
        return tuple(
            [await self._file(job, role, sha256, folder) for role, sha256 in job.spec.operation.assets.items()]
        )

    async def _file(self, job: Job, role: str, sha256: str, folder: Path) -> Input:
        asset = await self._asset(job, sha256)
        path = folder / role
        with path.open("wb") as file:
            async for chunk in self.blobs.read(asset.key):
                await asyncio.to_thread(file.write, chunk)
        return Input(role, asset.info.media_type, asset.size_bytes, asset.sha256, path)

    async def _asset(self, job: Job, sha256: str) -> Asset:
        return await self.assets.get(sha256, tenant=job.tenant, user=job.user, also_hidden=True)
