"""The records of an export: what a line of each index says."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message
from i2v.v1 import asset_pb2, collection_pb2, job_pb2, provenance_pb2, share_pb2, usage_pb2

from services.client.transfer import strict_json
from services.client.transfer.faults import BrokenExport
from services.reasons import LibraryReason

USER = re.compile(r"[ -~]{1,128}")
ASSET = re.compile(r"assets/[0-9a-f]{64}")


class Bytes(StrEnum):
    """Whether the bytes of an entry are in the export."""

    STORED = "stored"
    TRASH = "trash"
    """The entry is in the trash, so its bytes cannot be read."""
    UNREADABLE = "unreadable"
    """The service could not give them."""


@dataclass(frozen=True, slots=True)
class Index:
    """A file with one record a line."""

    file: str
    field: str
    """The key of a line with the message."""
    message: type[Message]


ENTRIES = Index("entries.jsonl", "asset", asset_pb2.Asset)
COLLECTIONS = Index("collections.jsonl", "collection", collection_pb2.Collection)
SHARES = Index("shares.jsonl", "share", share_pb2.Share)
JOBS = Index("jobs.jsonl", "job", job_pb2.Job)
MANIFESTS = Index("manifests.jsonl", "manifest", provenance_pb2.Manifest)
USAGE = Index("usage.jsonl", "booking", usage_pb2.LedgerEntry)
INDEXES = (ENTRIES, COLLECTIONS, SHARES, JOBS, MANIFESTS, USAGE)


@dataclass(frozen=True, slots=True)
class Record:
    """A line of an index."""

    user: str
    message: Any
    """In the protobuf of its index."""
    stored: Bytes | None = None
    """Of an entry: whether its bytes are there."""
    members: tuple[str, ...] = ()
    """Of a collection: names of its assets, the oldest first."""
    events: tuple[job_pb2.JobEvent, ...] = ()
    """Of a job, if they were asked for."""

    def line(self, index: Index) -> bytes:
        """Returns the record as a line."""
        found: dict[str, Any] = {"user": self.user, index.field: _to_json(self.message)}
        if index is ENTRIES:
            found["bytes"] = self.stored
        elif index is COLLECTIONS:
            found["assets"] = list(self.members)
        elif index is JOBS and self.events:
            found["events"] = [_to_json(event) for event in self.events]
        return strict_json.dumps(found) + b"\n"


def record(index: Index, line: bytes, place: str) -> Record:
    """Returns the record of a line. Raises BrokenExport, with the place."""

    def refuse(what: str) -> BrokenExport:
        return BrokenExport(LibraryReason.EXPORT_MALFORMED, place, what)

    found = strict_json.loads(line, place)
    more = {ENTRIES.file: {"bytes"}, COLLECTIONS.file: {"assets"}}.get(index.file, set())
    optional = {"events"} if index is JOBS else set()
    if not {"user", index.field, *more} <= found.keys() <= {"user", index.field, *more, *optional}:
        raise refuse(f"a line has the keys user, {', '.join([index.field, *more])}, and no others")
    user, members, events = found["user"], found.get("assets", []), found.get("events", [])
    if not isinstance(user, str) or not USER.fullmatch(user):
        raise refuse("the user is not 1 to 128 printable ASCII characters")
    if not isinstance(members, list) or not all(isinstance(each, str) and ASSET.fullmatch(each) for each in members):
        raise refuse("the assets are not a list of names such as assets/{sha256}")
    if not isinstance(events, list):
        raise refuse("the events are not a list")
    stored = found.get("bytes")
    if index is ENTRIES and stored not in list(Bytes):
        raise refuse("bytes is not one of stored, trash and unreadable")
    try:
        message = _from_json(found[index.field], index.message)
        happened: Any = tuple(_from_json(event, job_pb2.JobEvent) for event in events)
    except (json_format.Error, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise refuse(f"{index.field} is not what the API says: {error}"[:300]) from None
    if isinstance(message, asset_pb2.Asset) and (not ASSET.fullmatch(message.name) or message.size_bytes < 0):
        raise refuse("the asset has no name such as assets/{sha256}, or a negative size")
    return Record(user, message, None if stored is None else Bytes(stored), tuple(members), happened)


def _to_json(message: Message) -> dict[str, Any]:
    found: dict[str, Any] = json_format.MessageToDict(message, preserving_proto_field_name=True)
    return found


def _from_json(value: object, kind: type[Message]) -> Message:
    if not isinstance(value, Mapping):
        raise ValueError("it is no object")
    return json_format.ParseDict(dict(value), kind())
