"""The check of an export: everything that it says is there, and nothing else. Works without a server."""

import hashlib
from collections.abc import Iterator

from services.client.transfer import description, records
from services.client.transfer.description import Description
from services.client.transfer.entry_table import EntryTable
from services.client.transfer.faults import BrokenExport, Fault
from services.client.transfer.index_file import IndexReader
from services.client.transfer.records import ENTRIES, INDEXES, Bytes, Index
from services.client.transfer.sources import BYTES, Source, bytes_name
from services.reasons import LibraryReason


def read_description(source: Source) -> Description:
    """Returns what an export says of itself. Raises BrokenExport."""
    with source.open(description.FILE) as file:
        data = file.read(description.BYTES_MOST + 1)
    if len(data) > description.BYTES_MOST:
        what = f"the file has more than {description.BYTES_MOST} bytes"
        raise BrokenExport(LibraryReason.EXPORT_TOO_LARGE, description.FILE, what)
    found = description.loads(data)
    if not found.indexes:
        raise BrokenExport(LibraryReason.EXPORT_INCOMPLETE, description.FILE, "the export has not ended")
    return found


def faults(source: Source) -> Iterator[Fault]:
    """Yields everything that is wrong with an export. Raises OSError."""
    try:
        found = read_description(source)
    except BrokenExport as error:
        yield error.fault
        return
    with EntryTable() as table:
        for each in source.files():
            if isinstance(each, Fault):
                yield each
            elif each[0].startswith(f"{BYTES}/"):
                table.hold(each[0].rpartition("/")[2], each[1])
        for index in INDEXES:
            try:
                yield from _of_index(source, index, found, table)
            except BrokenExport as error:
                yield error.fault
        yield from _of_bytes(source, found, table)


def _of_index(source: Source, index: Index, found: Description, table: EntryTable) -> Iterator[Fault]:
    """Yields what is wrong with an index. After a line that cannot be read, the next ones are read too."""
    with source.open(index.file) as file:
        reader = IndexReader(index, file)
        for place, line in reader.lines():
            try:
                record = records.record(index, line, place)
            except BrokenExport as error:
                yield error.fault
                continue
            if index is ENTRIES:
                sha256, stored = record.message.name.removeprefix("assets/"), record.stored is Bytes.STORED
                if not table.name(record.user, sha256, record.message.size_bytes, stored=stored):
                    yield Fault(LibraryReason.EXPORT_MALFORMED, place, f"{record.message.name} is there twice")
    said, read = found.indexes[index.file], reader.summary
    if said.records != read.records:
        what = f"it has {read.records} records; {description.FILE} says {said.records}"
        yield Fault(LibraryReason.EXPORT_ALTERED, index.file, what)
    elif said.sha256 != read.sha256:
        yield Fault(LibraryReason.EXPORT_ALTERED, index.file, f"its SHA-256 is not that of {description.FILE}")


def _of_bytes(source: Source, found: Description, table: EntryTable) -> Iterator[Fault]:
    for sha256 in table.missing():
        yield Fault(LibraryReason.EXPORT_INCOMPLETE, bytes_name(sha256), "an entry names this file, and it is missing")
    for sha256 in table.additional():
        yield Fault(LibraryReason.EXPORT_ADDITIONAL, bytes_name(sha256), "no entry names this file")
    for sha256 in table.of_other_size():
        yield Fault(LibraryReason.EXPORT_ALTERED, bytes_name(sha256), "its size is not that of its entry")
    for sha256 in table.whole():
        try:
            with source.open(bytes_name(sha256)) as file:
                actual = hashlib.file_digest(file, "sha256").hexdigest()
        except BrokenExport as error:
            yield error.fault
            continue
        if actual != sha256:
            yield Fault(LibraryReason.EXPORT_ALTERED, bytes_name(sha256), f"its SHA-256 is {actual}")
    if (total := table.total()) != (found.files, found.size_bytes):
        what = f"entries name {total[0]} files of {total[1]} bytes; it says {found.files} of {found.size_bytes}"
        yield Fault(LibraryReason.EXPORT_ALTERED, description.FILE, what)
