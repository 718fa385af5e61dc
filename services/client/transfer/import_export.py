"""The import of an export. It is checked as a whole before anything is stored."""

from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

from services.client.client import Client
from services.client.transfer import records
from services.client.transfer.check import faults, read_description
from services.client.transfer.faults import BrokenExport
from services.client.transfer.import_collections import CollectionImport
from services.client.transfer.import_entries import Counts, EntryImport
from services.client.transfer.index_file import IndexReader
from services.client.transfer.library_here import LibraryHere
from services.client.transfer.records import COLLECTIONS, ENTRIES, Index, Record
from services.client.transfer.sources import Source
from services.client.transfer.transfer_bar import TransferBar


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did, or would do."""

    entries: Counts = field(default_factory=Counts)
    collections: Counts = field(default_factory=Counts)


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What an import is to do."""

    overwrite: bool = False
    dry_run: bool = False


def demand_whole(source: Source) -> None:
    """Raises BrokenExport for the first thing that is wrong with an export. It reads all of it."""
    for fault in faults(source):
        raise BrokenExport(fault.reason, fault.place, fault.text)


def users_of(source: Source) -> list[str]:
    """Returns the users of an export that was checked, in its order."""
    found = dict[str, None]()
    for index in (ENTRIES, COLLECTIONS):
        found |= {record.user: None for record in _records(source, index)}
    return list(found)


async def import_user(
    source: Source,
    client: AbstractAsyncContextManager[Client],
    user: str,
    options: ImportOptions,
    bar: TransferBar,
    done: Imported,
) -> None:
    """Imports what one user of a checked export has, for the client's user. Raises I2VError, OSError."""
    tenant = read_description(source).subject.tenant
    async with client as connected:
        with LibraryHere() as here:
            await here.load(connected)
            entries = EntryImport(
                connected, source, here, tenant, bar, done.entries, options.overwrite, options.dry_run
            )
            await entries.take(_of_user(source, ENTRIES, user))
            collections = CollectionImport(connected, here, bar, done.collections, options.overwrite, options.dry_run)
            async for record in _of_user(source, COLLECTIONS, user):
                await collections.take(record)


async def _of_user(source: Source, index: Index, user: str) -> AsyncIterator[Record]:
    for record in _records(source, index):
        if record.user == user:
            yield record


def _records(source: Source, index: Index) -> Iterator[Record]:
    with source.open(index.file) as file:
        for place, line in IndexReader(index, file).lines():
            yield records.record(index, line, place)
