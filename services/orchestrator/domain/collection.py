"""Collections: albums of a user's library."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from services.errors import Violation
from services.orchestrator.domain.library_details import DESCRIPTION_MOST, TITLE_MOST, text_problems
from services.reasons import LibraryReason

COLLECTIONS_MOST = 1000
"""Collections of a user."""
ASSETS_MOST = 5000
"""Assets of a collection, those in the trash too."""


@dataclass(frozen=True, slots=True)
class CollectionKey:
    """Names a collection."""

    tenant: str
    user: str
    id: str


@dataclass(frozen=True, slots=True)
class Collection:
    """A collection as its user sees it."""

    key: CollectionKey
    number: int
    """Grows from one collection to the next."""
    title: str
    description: str
    cover: str
    """SHA-256 of an asset; empty without one."""
    asset_count: int
    """Without those in the trash."""
    revision: int
    create_time: datetime
    update_time: datetime


@dataclass(frozen=True, slots=True)
class CollectionChanges:
    """New values of a collection; None: as it is."""

    title: str | None = None
    description: str | None = None
    cover: str | None = None
    """SHA-256 of one of its assets; empty: none is chosen."""


def problems(changes: CollectionChanges) -> Iterator[Violation]:
    """Yields what is wrong with the texts, by field."""
    malformed = LibraryReason.LIBRARY_TEXT_MALFORMED
    if changes.title is not None:
        if not changes.title.strip():
            yield Violation("collection.title", "is empty; give a title", malformed)
        yield from text_problems(changes.title, "collection.title", TITLE_MOST, malformed)
    if changes.description is not None:
        yield from text_problems(changes.description, "collection.description", DESCRIPTION_MOST, malformed, lines=True)
