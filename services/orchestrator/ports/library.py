"""The library: what people see of assets."""

from typing import Protocol

from services.orchestrator.domain.library_entry import LibraryEntry


class Library(Protocol):
    """The entries of all users. Every method raises services.errors.Unavailable if the database cannot be reached."""

    async def find(self, sha256: str, *, tenant: str, user: str) -> LibraryEntry | None:
        """Returns the entry of an asset; None if this user has none, as of a fragment."""
