"""The import of entries: each is uploaded as any file, then gets what the export says of it."""

from collections.abc import AsyncIterable
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from i2v.v1 import asset_pb2, asset_pb2_grpc

from i2v_client import AsyncClient
from i2v_client.errors import I2VError, QuotaExceeded, Unauthenticated, Unreachable
from i2v_client.upload_files import Upload
from services.client.transfer import imported_facts
from services.client.transfer.faults import BrokenExport
from services.client.transfer.in_order import in_order
from services.client.transfer.library_here import LibraryHere
from services.client.transfer.records import Bytes, Record
from services.client.transfer.sources import Source, bytes_name
from services.client.transfer.transfer_bar import TransferBar
from services.reasons import LibraryReason

AT_ONCE = 4
MASK = ("details", "favorite", "rating")


class Outcome(StrEnum):
    """What an import does with an entry or a collection."""

    NEW = "new"
    SAME = "unchanged"
    CHANGED = "overwritten"
    EDITED = "edited here, left as they are"
    WITHOUT_BYTES = "without bytes, left out"
    REFUSED = "refused"


@dataclass(slots=True)
class Counts:
    """How many things had each outcome."""

    of: dict[Outcome, int] = field(default_factory=lambda: dict.fromkeys(Outcome, 0))

    def add(self, outcome: Outcome) -> None:
        """Counts one."""
        self.of[outcome] += 1


@dataclass(frozen=True, slots=True)
class EntryImport:
    """The import of one user's entries."""

    client: AsyncClient
    source: Source
    here: LibraryHere
    tenant: str
    """Of the export."""
    bar: TransferBar
    counts: Counts
    overwrite: bool
    dry_run: bool

    async def take(self, entries: AsyncIterable[Record]) -> None:
        """Imports entries. Those that are refused keep no other from being imported.

        Raises I2VError if the server is away, or for a limit of the plan; OSError.
        """
        async with aclosing(in_order(entries, self._one, AT_ONCE)) as outcomes:
            async for outcome in outcomes:
                self.counts.add(outcome)
                self.bar.done()

    async def _one(self, record: Record) -> Outcome:
        wanted: asset_pb2.Asset = record.message
        try:
            found = self.here.find(wanted.name)
            if found is None or (found.HasField("delete_time") and self.overwrite):
                return await self._upload(record)
            return await self._present(wanted, found)
        except (Unreachable, Unauthenticated, QuotaExceeded, BrokenExport):
            raise
        except I2VError as error:
            return self._say(wanted, Outcome.REFUSED, str(error))

    async def _upload(self, record: Record) -> Outcome:
        wanted = record.message
        if record.stored is not Bytes.STORED:
            return self._say(wanted, Outcome.WITHOUT_BYTES, f"the export has no bytes of it ({record.stored})")
        if self.dry_run:
            return Outcome.NEW
        name = bytes_name(wanted.name.removeprefix("assets/"))
        with self.source.on_disk(name) as path:
            upload = Upload.of(path)
            if upload.sha256 != wanted.name.removeprefix("assets/"):
                raise BrokenExport(LibraryReason.EXPORT_ALTERED, name, f"its SHA-256 is {upload.sha256}")
            details = imported_facts.new_details(wanted, self.tenant)
            stored = await self.client.upload(replace(upload, details=details))
        return await self._present(wanted, stored, uploaded=True)

    async def _present(self, wanted: asset_pb2.Asset, here: asset_pb2.Asset, *, uploaded: bool = False) -> Outcome:
        """Compares an entry that is here with that of the export, and changes it where that loses nothing."""
        # Uploaded by this import or one that was broken off, and not changed since.
        unfinished = here.etag == "1" and imported_facts.source_of(here) == wanted.name
        self.here.put(here)
        if here.HasField("delete_time"):
            return self._say(wanted, Outcome.EDITED, f"{here.name} is in the trash here")
        if imported_facts.same(wanted, here):
            return Outcome.NEW if uploaded else Outcome.SAME
        if not (self.overwrite or (unfinished and imported_facts.same_texts(wanted, here))):
            return self._say(wanted, Outcome.EDITED, f"{here.name} is here with other texts, favourite or rating")
        outcome = Outcome.NEW if unfinished else Outcome.CHANGED
        if not self.dry_run:
            assets: Any = asset_pb2_grpc.AssetServiceStub(self.client.channel())
            values = asset_pb2.Asset(
                name=here.name,
                etag=here.etag,
                details=imported_facts.overwriting(wanted, here),
                favorite=wanted.favorite,
                rating=wanted.rating,
            )
            request = asset_pb2.UpdateAssetRequest(asset=values)
            request.update_mask.paths.extend(MASK)
            self.here.put(await self.client.call(assets.UpdateAsset, request))
        return outcome

    def _say(self, wanted: asset_pb2.Asset, outcome: Outcome, why: str) -> Outcome:
        self.bar.say(f"{wanted.name}: {why}")
        return outcome
