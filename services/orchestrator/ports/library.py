"""The library: what people see of assets."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from services.orchestrator.domain.asset import Asset
from services.orchestrator.domain.library_batch import BatchChange, BatchCount, Selection
from services.orchestrator.domain.library_entry import LibraryEntry
from services.orchestrator.domain.library_list import LibraryList, Place
from services.orchestrator.domain.library_statistics import LibraryStatistics


class Library(Protocol):
    """The entries of all users. Every method raises services.errors.Unavailable if the database cannot be reached."""

    async def find(self, sha256: str, *, tenant: str, user: str) -> LibraryEntry | None:
        """Returns the entry of an asset; None if this user has none, as of a fragment."""

    async def page(
        self, which: LibraryList, after: Place | None, limit: int
    ) -> Sequence[tuple[Asset, LibraryEntry, Place]]:
        """Returns the entries of a list after a place, in its order, each with its own place.

        Raises PreconditionFailed if a search reads so many entries that it takes too long.
        """

    async def perceptual_hash(self, sha256: str, *, tenant: str, user: str) -> int | None:
        """Returns the perceptual hash of an asset; None without one. Raises NotFound."""

    async def change(
        self, sha256: str, changes: Mapping[str, Any], *, tenant: str, user: str, revision: int | None = None
    ) -> LibraryEntry:
        """Changes fields of an entry: favorite, rating, and those of Details by their names.

        Raises NotFound, also for an entry in the trash, and Conflict if a revision is given and is not the entry's.
        """

    async def change_all(self, which: Selection, change: BatchChange) -> BatchCount:
        """Changes several entries, or none of them. One that is already so keeps its revision.

        Raises NotFound when one of the names is missing, InvalidInput when an entry would have too many tags, and
        PreconditionFailed when more than SELECTED_MOST are selected.
        """

    async def selected(self, which: Selection) -> Sequence[str]:
        """Returns the SHA-256 of the entries of a selection. Raises PreconditionFailed for more than SELECTED_MOST."""

    async def statistics(self, which: LibraryList) -> LibraryStatistics:
        """Returns the statistics of a list, whose order does not matter. Raises PreconditionFailed, as `page`."""
