"""The trash of the library: what is deleted and can still be restored, and what is deleted for good."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from services.orchestrator.domain.keep_rules import KeepRules
from services.orchestrator.domain.library_entry import EntryKey, LibraryEntry
from services.orchestrator.domain.retention import Due


@dataclass(frozen=True, slots=True)
class Item:
    """An entry in a user's trash."""

    key: EntryKey
    in_use: bool
    """An unfinished job uses it."""
    size_bytes: int


@dataclass(frozen=True, slots=True)
class OldItem:
    """An entry that is due."""

    id: int
    key: EntryKey


class Trash(Protocol):
    """The trash of all users. Every method raises services.errors.Unavailable if the database cannot be reached."""

    async def put(self, key: EntryKey, now: datetime, *, etag: str = "") -> LibraryEntry:
        """Moves an entry to the trash, if it is not there yet. Raises NotFound; Conflict for an old etag."""

    async def restore(self, key: EntryKey, now: datetime) -> LibraryEntry:
        """Brings an entry back, if it is in the trash. Raises NotFound."""

    async def purge(self, key: EntryKey, now: datetime, *, etag: str = "", in_trash_only: bool = False) -> int:
        """Deletes an entry for good, whether it is in the trash or not. Returns the bytes that are given back.

        `in_trash_only`: one that is not in the trash is as none.

        Raises NotFound; Conflict for an old etag; PreconditionFailed for an asset that an unfinished job uses, and
        under a legal hold.
        """

    async def check(self, key: EntryKey, *, permanent: bool) -> None:
        """Raises what `put`, or `purge` with `permanent`, would raise now."""

    async def items(self, tenant: str, user: str, *, limit: int) -> list[Item]:
        """Returns what is in a user's trash, those first that no unfinished job uses."""


class OldTrash(Protocol):
    """What retention does in the library, by the rules of each tenant's plan. Tenants under a legal hold, and assets
    that an unfinished job uses, are left out.

    `rules` are by plan. Every method raises services.errors.Unavailable if the database cannot be reached.
    """

    async def expired(self, rules: Mapping[str, KeepRules], now: datetime) -> Due:
        """Returns which entries are older than their plan keeps them."""

    async def trash_expired(self, rules: Mapping[str, KeepRules], now: datetime, *, limit: int) -> int:
        """Moves some of them to the trash; returns how many."""

    async def due(self, rules: Mapping[str, KeepRules], default_days: int, now: datetime) -> Due:
        """Returns what has been in the trash for longer than the plan, else `default_days`, says. 0: never."""

    async def due_page(
        self, rules: Mapping[str, KeepRules], default_days: int, now: datetime, *, after: int, limit: int
    ) -> list[OldItem]:
        """Returns entries that are due, in the order of their ids, those after one."""
