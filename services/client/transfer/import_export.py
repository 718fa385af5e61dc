"""The import of an export. It is checked as a whole before anything is stored."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from itertools import groupby

from i2v_client import AsyncClient
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

    of_user: str = ""
    """Only what this user of the export has; empty: everything."""
    overwrite: bool = False
    dry_run: bool = False


def demand_whole(source: Source) -> None:
    """Raises BrokenExport for the first thing that is wrong with an export. It reads all of it."""
    for fault in faults(source):
        raise BrokenExport(fault.reason, fault.place, fault.text)


async def import_export(
    source: Source,
    client_for: Callable[[str], AbstractAsyncContextManager[AsyncClient]],
    options: ImportOptions,
    bar: TransferBar,
) -> Imported:
    """Imports a checked export; `client_for` gives the client for a user of it. Raises I2VError, OSError.

    What is there already stays, so a second import continues one that was broken off.
    """
    tenant, done = read_description(source).subject.tenant, Imported()
    for index in (ENTRIES, COLLECTIONS):
        for user, found in groupby(_records(source, index), key=lambda record: record.user):
            if options.of_user and user != options.of_user:
                continue
            async with client_for(user) as client:
                with LibraryHere() as here:
                    await here.load(client)
                    if index is ENTRIES:
                        entries = EntryImport(
                            client, source, here, tenant, bar, done.entries, options.overwrite, options.dry_run
                        )
                        await entries.take(_as_async(found))
                        continue
                    collections = CollectionImport(
                        client, here, bar, done.collections, options.overwrite, options.dry_run
                    )
                    for record in found:
                        await collections.take(record)
    return done


async def _as_async(found: Iterator[Record]) -> AsyncIterator[Record]:
    for record in found:
        yield record


def _records(source: Source, index: Index) -> Iterator[Record]:
    with source.open(index.file) as file:
        for place, line in IndexReader(index, file).lines():
            yield records.record(index, line, place)
