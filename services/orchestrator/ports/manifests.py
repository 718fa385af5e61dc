"""The manifests of finished videos."""

from datetime import datetime
from typing import Protocol

from services.orchestrator.domain.manifest import Manifest


class Manifests(Protocol):
    """The manifests of all users. Raises services.errors.Unavailable if the database cannot be reached."""

    async def get(self, sha256: str, *, tenant: str, user: str) -> tuple[Manifest, datetime]:
        """Returns the manifest of an asset of this user, and when it was made. Raises NotFound."""
