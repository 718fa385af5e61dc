"""The manifests of finished videos."""

from datetime import datetime
from typing import Protocol

from services.orchestrator.domain.manifest import Manifest


class Manifests(Protocol):
    """The manifests of all users. Raises services.errors.Unavailable if the database cannot be reached."""

    async def get(self, sha256: str, *, tenant: str, user: str) -> tuple[Manifest, datetime]:
        """Returns the manifest of an asset of this user, and when it was made. Raises NotFound."""

    async def of_bytes(self, tenant: str, sha256: str) -> Manifest | None:
        """Returns a manifest of these bytes of any user of the tenant; None: no job made them."""
