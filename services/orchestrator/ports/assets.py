"""What is known of assets; their bytes are in the blob store."""

from typing import Protocol

from services.orchestrator.domain.asset import Asset


class Assets(Protocol):
    """The assets of all users. Every method raises services.errors.Unavailable if the database cannot be reached."""

    async def put(self, asset: Asset) -> Asset:
        """Stores an uploaded asset; the one stored first stays and is returned."""

    async def get(self, sha256: str, *, tenant: str, user: str) -> Asset:
        """Returns what is known of an asset if it is this user's. Raises NotFound."""
