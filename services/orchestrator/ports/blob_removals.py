"""Bytes that are to be removed, because no asset of their tenant needs them any more."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Protocol

from services.orchestrator.domain.retention import Due


@dataclass(frozen=True, slots=True)
class Unneeded:
    """Bytes that are being removed."""

    tenant: str
    sha256: str


class Note(Enum):
    """What was known of bytes before they were noted."""

    NEW = "new"
    """Nothing."""
    KNOWN = "known"
    """They were noted already, by a deletion or another copy."""
    REMOVING = "removing"
    """They are being removed. They were not noted."""


class BlobRemovals(Protocol):
    """The removals of one database. Every method raises services.errors.Unavailable if it cannot be reached."""

    async def keep(self, tenant: str, sha256: str, now: datetime) -> None:
        """Keeps bytes that are about to be stored from being removed soon.

        Raises Unavailable while they are being removed, so that they are stored after that.
        """

    async def begin_copy(self, tenant: str, sha256: str, now: datetime) -> Note:
        """Notes bytes that are about to be copied: they are removed later if no asset needs them, but not soon.

        Returns what was known of them.
        """

    async def end_copy(self, tenant: str, sha256: str, now: datetime) -> None:
        """Takes the note of this time back, unless there is a later one. Idempotent."""

    async def due(self, before: datetime) -> Due:
        """Returns which bytes have not been needed since before this time."""

    async def begin(self, before: datetime, *, limit: int) -> list[Unneeded]:
        """Begins to remove some bytes that have not been needed since before this time.

        Returns also those whose removal was interrupted.

        From now on nothing can store the same until the end. Bytes that an asset needs again are forgotten.
        """

    async def end(self, unneeded: Unneeded) -> None:
        """Ends a removal: the bytes are gone, and may be stored again. Idempotent."""
