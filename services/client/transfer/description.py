"""`export.json`: what an export is of, and what is in it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from services.client.transfer import strict_json
from services.client.transfer.faults import BrokenExport
from services.client.transfer.records import INDEXES
from services.reasons import LibraryReason

FILE = "export.json"
FORMAT, VERSION = "i2v-export", 1
BYTES_MOST = 1 << 20
SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Subject:
    """Whose library it is, and which part of it."""

    tenant: str = ""
    """Empty: the exporting caller's, which is not known to it."""
    user: str = ""
    """Empty: all users of the tenant."""
    filter: str = ""
    """Empty: the whole library."""


@dataclass(frozen=True, slots=True)
class IndexSummary:
    """What an index has."""

    sha256: str
    records: int


@dataclass(frozen=True, slots=True)
class Description:
    """An export as a whole."""

    subject: Subject
    create_time: str
    """In UTC, RFC 3339."""
    indexes: Mapping[str, IndexSummary] = field(default_factory=dict)
    """By the name of the file."""
    files: int = 0
    """Different files under `bytes`."""
    size_bytes: int = 0
    """Of these."""

    def dumps(self) -> bytes:
        """Returns the text of export.json."""
        found = {
            "format": FORMAT,
            "version": VERSION,
            "tenant": self.subject.tenant,
            "user": self.subject.user,
            "filter": self.subject.filter,
            "create_time": self.create_time,
            "indexes": {name: {"sha256": each.sha256, "records": each.records} for name, each in self.indexes.items()},
            "bytes": {"files": self.files, "size_bytes": self.size_bytes},
        }
        return strict_json.dumps(found) + b"\n"


def loads(data: bytes, place: str = FILE) -> Description:
    """Returns the description in a text. Raises BrokenExport."""
    found = strict_json.loads(data, place)
    if found.get("format") != FORMAT:
        raise BrokenExport(LibraryReason.EXPORT_MALFORMED, place, f"this is not the description of an {FORMAT}")
    if found.get("version") != VERSION or isinstance(found["version"], bool):
        what = f"the format is version {str(found.get('version'))[:40]}; this program reads version {VERSION}"
        raise BrokenExport(LibraryReason.EXPORT_VERSION_UNKNOWN, place, what)
    try:
        return _description(found)
    except (KeyError, TypeError, ValueError, AttributeError):
        what = "a field is missing, or of another kind than the format says"
        raise BrokenExport(LibraryReason.EXPORT_MALFORMED, place, what) from None


def _description(found: Mapping[str, Any]) -> Description:
    indexes = {
        name: IndexSummary(_sha256(each["sha256"]), _count(each["records"])) for name, each in found["indexes"].items()
    }
    if indexes and indexes.keys() != {index.file for index in INDEXES}:
        raise ValueError
    return Description(
        Subject(_text(found["tenant"]), _text(found["user"]), _text(found["filter"])),
        _text(found["create_time"]),
        indexes,
        _count(found["bytes"]["files"]),
        _count(found["bytes"]["size_bytes"]),
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise TypeError
    return value


def _sha256(value: object) -> str:
    if not SHA256.fullmatch(_text(value)):
        raise ValueError
    return _text(value)
