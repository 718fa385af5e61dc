"""The collections of all users."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from services.orchestrator.domain.collection import Collection, CollectionChanges, CollectionKey


class Collections(Protocol):
    """Collections. Every method raises services.errors.Unavailable if the database cannot be reached.

    Those that take a key raise NotFound if the user has no such collection.
    """

    async def create(self, key: CollectionKey, title: str, description: str, now: datetime) -> Collection:
        """Makes an empty collection, or returns the one of an earlier call with the same values.

        Raises RequestIdReused if the key is in use with other texts, PreconditionFailed if the user has too many.
        """

    async def get(self, key: CollectionKey) -> Collection:
        """Returns a collection."""

    async def page(self, tenant: str, user: str, before: int | None, limit: int) -> Sequence[Collection]:
        """Returns collections of a user with lower numbers than `before`, the newest first."""

    async def change(
        self, key: CollectionKey, changes: CollectionChanges, now: datetime, revision: int | None = None
    ) -> Collection:
        """Changes a collection.

        Raises NotFound, also if the cover is not one of its assets, and Conflict if it does not have the revision.
        """

    async def delete(self, key: CollectionKey, revision: int | None = None) -> Collection:
        """Deletes a collection, and no asset. Returns it as it was. Raises Conflict."""

    async def add(self, key: CollectionKey, assets: Sequence[str], now: datetime) -> tuple[int, Sequence[str]]:
        """Adds assets by their SHA-256. Returns how many are new in it, and those that the library does not have.

        Raises PreconditionFailed, and adds none, if the collection would have too many.
        """

    async def remove(self, key: CollectionKey, assets: Sequence[str], now: datetime) -> int:
        """Removes assets from a collection. Returns how many were in it."""
