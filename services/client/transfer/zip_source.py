"""An export in a ZIP archive, which may be a bomb.

Before the archive's directory is read, its size is known; before a file is read, so is the size to which it expands.
"""

import stat
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Any, Self

from services.client.transfer.faults import BrokenExport, Fault
from services.client.transfer.sources import BYTES, fault_of_name, missing
from services.reasons import LibraryReason

DIRECTORY_MOST = 16 << 20
"""Bytes of the archive's directory: about 130,000 files."""
SMALL_BYTES, RATIO_MOST = 1 << 20, 100
"""A file beyond the first may expand to so many times its packed size. Media hardly do, JSON about 20 times."""
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
END, END_64 = struct.Struct("<4s4H2LH"), struct.Struct("<4sQ2H2L4Q")
END_SIGN, END_64_SIGN, UNKNOWN = b"PK\x05\x06", b"PK\x06\x06", 0xFFFFFFFF
LOCATOR_BYTES, COMMENT_MOST = 20, 65_535
UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError, struct.error)
COPY_BYTES = 1 << 20


class ZipSource:
    """The files of an archive. To be used as `with`."""

    def __init__(self, path: Path) -> None:
        """Reads the archive's directory. Raises BrokenExport, OSError."""
        self._name, self._size = path.name, path.stat().st_size
        if (directory := _directory_bytes(path)) > DIRECTORY_MOST:
            what = f"its directory has {directory} bytes; at most {DIRECTORY_MOST} are read. Unpack it, name the folder"
            raise BrokenExport(LibraryReason.EXPORT_TOO_LARGE, self._name, what)
        try:
            self._archive = zipfile.ZipFile(path)
        except UNREADABLE as error:
            raise self._malformed(error) from None
        self._by_name = {each.filename: each for each in self._archive.infolist()}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *of_error: object) -> None:
        self._archive.close()

    def files(self) -> Iterator[tuple[str, int] | Fault]:
        """Yields the name and the size of each file with a name of the format, and a fault for all else."""
        seen, packed = set[str](), 0
        for each in self._archive.infolist():
            packed += each.compress_size
            if each.filename in seen:
                yield Fault(LibraryReason.EXPORT_UNSAFE, each.filename[:200], "the name is there twice")
                continue
            seen.add(each.filename)
            if each.is_dir() and each.filename.rstrip("/").split("/")[0] == BYTES and ".." not in each.filename:
                continue
            yield fault_of_name(each.orig_filename) or self._fault(each) or (each.filename, each.file_size)
        if packed > self._size:
            yield Fault(LibraryReason.EXPORT_UNSAFE, self._name, "its files overlap")

    @contextmanager
    def open(self, name: str) -> Iterator[BufferedReader]:
        """Opens a file. Raises BrokenExport if it is missing, or cannot be unpacked."""
        found = self._by_name.get(name)
        if found is None:
            raise missing(name)
        if (fault := self._fault(found)) is not None:
            raise BrokenExport(fault.reason, fault.place, fault.text)
        try:
            unpacked: Any = self._archive.open(found)
            with BufferedReader(unpacked, COPY_BYTES) as file:
                yield file
        except UNREADABLE as error:
            raise BrokenExport(LibraryReason.EXPORT_ALTERED, name, f"it cannot be unpacked: {error}"[:300]) from None

    @contextmanager
    def on_disk(self, name: str) -> Iterator[Path]:
        """Yields the path of an unpacked copy, which is removed afterwards."""
        with tempfile.NamedTemporaryFile(prefix="i2v-import-") as copy:
            with self.open(name) as file:
                while data := file.read(COPY_BYTES):
                    copy.write(data)
            copy.flush()
            yield Path(copy.name)

    def _fault(self, each: zipfile.ZipInfo) -> Fault | None:
        mode = each.external_attr >> 16
        place = each.filename[:200]
        if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
            return Fault(LibraryReason.EXPORT_UNSAFE, place, "this is a link or a device")
        if not 0 <= each.header_offset < self._size:
            return Fault(LibraryReason.EXPORT_UNSAFE, place, "this is outside of the archive")
        if each.flag_bits & 1 or each.compress_type not in METHODS:
            return Fault(LibraryReason.EXPORT_UNSAFE, place, "this is encrypted, or packed in a way that is not read")
        if each.file_size > SMALL_BYTES and each.file_size > RATIO_MOST * each.compress_size:
            what = f"this expands to {each.file_size} bytes, more than {RATIO_MOST} times its packed size"
            return Fault(LibraryReason.EXPORT_TOO_LARGE, place, what)
        return None

    def _malformed(self, error: Exception) -> BrokenExport:
        return BrokenExport(LibraryReason.EXPORT_MALFORMED, self._name, f"this is no ZIP archive: {error}"[:300])


def _directory_bytes(path: Path) -> int:
    """Returns the size of an archive's directory, as its last bytes say; 0: it says none."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - COMMENT_MOST - END.size - LOCATOR_BYTES - END_64.size))
        tail = file.read()
    # As zipfile does it: an end without a comment first.
    at = len(tail) - END.size
    if at < 0 or not (tail.startswith(END_SIGN, at) and tail.endswith(b"\0\0")):
        at = tail.rfind(END_SIGN)
    if at < 0 or len(tail) < at + END.size:
        return 0
    found: int = END.unpack_from(tail, at)[5]
    if (wide := at - LOCATOR_BYTES - END_64.size) >= 0 and tail.startswith(END_64_SIGN, wide):
        found = max(0 if found == UNKNOWN else found, END_64.unpack_from(tail, wide)[8])
    return found
