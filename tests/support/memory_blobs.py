"""Blobs and assets in the memory of a test."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from services.errors import NotFound, Unavailable
from services.orchestrator.domain.asset import Asset
from services.orchestrator.domain.caller import Caller


@dataclass
class MemoryBlobs:
    """Blobs in a dictionary, which can be away."""

    stored: dict[str, bytes] = field(default_factory=dict)
    away: bool = False

    def _look(self) -> None:
        if self.away:
            raise Unavailable("away", reason="BLOBS_UNAVAILABLE")

    async def put_file(self, key: str, path: Path, *, media_type: str) -> None:
        self._look()
        self.stored[key] = path.read_bytes()

    async def read(self, key: str, *, offset: int = 0) -> AsyncIterator[bytes]:
        self._look()
        if key not in self.stored:
            raise NotFound("blob", key)
        yield self.stored[key][offset:]

    async def size(self, key: str) -> int | None:
        self._look()
        return len(self.stored[key]) if key in self.stored else None

    async def delete(self, key: str) -> None:
        self._look()
        self.stored.pop(key, None)

    async def check(self) -> None:
        self._look()

    async def close(self) -> None:
        return None


@dataclass
class RecordedAssets:
    """The assets of which a test says that they are recorded, by SHA-256."""

    recorded: set[str] = field(default_factory=set)

    async def check(self, sha256: str, size_bytes: int, caller: Caller) -> None:
        return None

    async def put(self, asset: Asset, caller: Caller) -> Asset:
        self.recorded.add(asset.sha256)
        return asset

    async def get(self, sha256: str, *, tenant: str, user: str) -> Asset:
        raise NotFound("asset", sha256)

    async def is_stored(self, sha256: str, *, tenant: str) -> bool:
        return sha256 in self.recorded
