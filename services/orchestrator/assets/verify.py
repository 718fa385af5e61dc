"""Checks a file that claims to come from here: an asset of the caller, or bytes that are sent. Nothing is stored."""

import asyncio
import hashlib
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from services.errors import InvalidUpload, NotFound, Violation
from services.orchestrator.domain.caller import Caller
from services.orchestrator.domain.verification import Verification
from services.orchestrator.ports.assets import Assets
from services.orchestrator.ports.blobs import Blobs
from services.orchestrator.ports.content_credentials import FileChecks
from services.orchestrator.ports.disk_space import Room, any_room
from services.orchestrator.ports.manifests import Manifests
from services.reasons import AssetReason

MOST_BYTES = 2 * 1000 * 1000 * 1000
BATCH_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Verifier:
    """Checks files."""

    assets: Assets
    blobs: Blobs
    manifests: Manifests
    checks: FileChecks
    spool: Path
    """A folder on a local disk."""
    room: Room = any_room
    most_bytes: int = MOST_BYTES

    async def asset(self, sha256: str, caller: Caller) -> Verification:
        """Checks an asset. Raises NotFound, Unavailable."""
        asset = await self.assets.get(sha256, tenant=caller.tenant, user=caller.user)
        return await self.data(self.blobs.read(asset.key), caller)

    async def data(self, chunks: AsyncIterator[bytes], caller: Caller) -> Verification:
        """Checks the bytes of a file. Raises InvalidUpload for too many, Unavailable."""
        with tempfile.TemporaryDirectory(prefix="upload-", dir=self.spool, ignore_cleanup_errors=True) as folder:
            path = Path(folder) / "file"
            sha256 = await self._spool(chunks, path)
            credentials, marked = await asyncio.gather(
                self.checks.credentials(path, tenant=caller.tenant), self.checks.pixel_mark(path, tenant=caller.tenant)
            )
        return Verification(sha256, credentials, marked, await self._is_recorded(sha256, caller))

    async def _spool(self, chunks: AsyncIterator[bytes], path: Path) -> str:
        """Writes the bytes to a file, a few at a time, and returns their SHA-256."""
        digest, size = hashlib.sha256(), 0
        batch: list[bytes] = []
        with path.open("wb", buffering=0) as file:

            def write() -> None:
                data = b"".join(batch)
                digest.update(data)
                file.write(data)
                batch.clear()

            async for data in chunks:
                size += len(data)
                if size > self.most_bytes:
                    what = f"is at least {size} bytes; at most {self.most_bytes} are checked"
                    reason = AssetReason.UPLOAD_TOO_LARGE
                    raise InvalidUpload([Violation("data", what, reason)], reason=reason)
                batch.append(data)
                if sum(map(len, batch)) >= BATCH_BYTES:
                    self.room(0)
                    await asyncio.to_thread(write)
            await asyncio.to_thread(write)
        return digest.hexdigest()

    async def _is_recorded(self, sha256: str, caller: Caller) -> bool:
        try:
            await self.manifests.get(sha256, tenant=caller.tenant, user=caller.user)
        except NotFound:
            return False
        return True
