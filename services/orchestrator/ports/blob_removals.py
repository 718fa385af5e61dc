"""Bytes that are to be removed, because no asset of their tenant needs them any more."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from services.orchestrator.domain.retention import Due


@dataclass(frozen=True, slots=True)
class Unneeded:
    """Bytes that are being removed."""

    tenant: str
    sha256: str


class BlobRemovals(Protocol):
    """The removals of one database. Every method raises services.errors.Unavailable if it cannot be reached."""

    async def keep(self, tenant: str, sha256: str, now: datetime) -> None:
        """Keeps bytes that are about to be stored from being removed soon.

        Raises Unavailable while they are being removed, so that they are stored after that.
        """

    async def due(self, before: datetime) -> Due:
        """Returns which bytes have not been needed since before this time."""

    async def begin(self, before: datetime, *, limit: int) -> list[Unneeded]:
        """Begins to remove some bytes that have not been needed since before this time.

        Returns also those whose removal was interrupted.

        From now on nothing can store the same until the end. Bytes that an asset needs again are forgotten.
        """

    async def end(self, unneeded: Unneeded) -> None:
        """Ends a removal: the bytes are gone, and may be stored again. Idempotent."""
