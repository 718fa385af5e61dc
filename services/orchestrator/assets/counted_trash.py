"""A trash that counts what happens in it."""

from dataclasses import dataclass
from datetime import datetime

from services.orchestrator.domain.library_entry import EntryKey, LibraryEntry
from services.orchestrator.ports.library_meter import LibraryMeter, Step
from services.orchestrator.ports.trash import Item, Trash


@dataclass(frozen=True, slots=True)
class CountedTrash:
    """The Trash port, over another. Repetitions that change nothing are not counted."""

    trash: Trash
    meter: LibraryMeter

    async def put(self, key: EntryKey, now: datetime, *, etag: str = "") -> LibraryEntry:
        """Moves an entry to the trash, if it is not there yet."""
        entry = await self.trash.put(key, now, etag=etag)
        if entry.delete_time == now:
            self.meter.deletion(Step.TRASHED)
        return entry

    async def restore(self, key: EntryKey, now: datetime) -> LibraryEntry:
        """Brings an entry back, if it is in the trash."""
        entry = await self.trash.restore(key, now)
        if entry.update_time == now:
            self.meter.deletion(Step.RESTORED)
        return entry

    async def purge(self, key: EntryKey, now: datetime, *, etag: str = "", in_trash_only: bool = False) -> int:
        """Deletes an entry for good, whether it is in the trash or not. Returns the bytes that are given back."""
        size_bytes = await self.trash.purge(key, now, etag=etag, in_trash_only=in_trash_only)
        self.meter.deletion(Step.PURGED)
        self.meter.given_back(size_bytes)
        return size_bytes

    async def check(self, key: EntryKey, *, permanent: bool) -> None:
        """Raises what `put`, or `purge` with `permanent`, would raise now."""
        await self.trash.check(key, permanent=permanent)

    async def items(self, tenant: str, user: str, *, limit: int) -> list[Item]:
        """Returns what is in a user's trash, those first that no unfinished job uses."""
        return await self.trash.items(tenant, user, limit=limit)
