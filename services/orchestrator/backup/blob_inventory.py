"""The list of stored bytes at the time of a backup, and how the store differs from it later."""

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from services.orchestrator.ports.blob_references import BlobReferences
from services.orchestrator.ports.blobs import Blobs

PAGE = 1000
FOLDER = "tenants/"
"""The keys of all bytes that belong to a tenant; uploads in parts and checkpoints are begun again."""


class Fault(StrEnum):
    """What is wrong with a key."""

    MISSING = "missing"
    SIZE = "of another size"


@dataclass(frozen=True, slots=True)
class Found:
    """A key and what is wrong with it."""

    key: str
    fault: Fault


async def write(blobs: Blobs, file: Path) -> int:
    """Lists the store into a file, a key and its size on each line in the order of the keys. Returns their number."""
    count = 0
    with file.open("w", encoding="utf-8") as lines:
        async for key, size in _stored(blobs):
            lines.write(json.dumps([key, size]) + "\n")
            count += 1
    return count


async def compare(file: Path, blobs: Blobs) -> AsyncIterator[Found]:
    """Yields what a store lacks of a list; what it has in addition does not matter. Memory does not grow with them.

    Raises Unavailable, ValueError for a list that cannot be read.
    """
    stored = _stored(blobs)
    here = await anext(stored, None)
    for key, size in _listed(file):
        while here is not None and here[0] < key:
            here = await anext(stored, None)
        if here is None or here[0] != key:
            yield Found(key, Fault.MISSING)
        elif here[1] != size:
            yield Found(key, Fault.SIZE)


async def unstored(references: BlobReferences, blobs: Blobs) -> AsyncIterator[Found]:
    """Yields what the database names and the store does not have. Raises Unavailable."""
    after = ""
    while page := await references.named(after=after, limit=PAGE):
        for named in page:
            if await blobs.size(named.key) is None:
                yield Found(named.key, Fault.MISSING)
        after = page[-1].key


async def _stored(blobs: Blobs) -> AsyncIterator[tuple[str, int]]:
    after = ""
    while page := await blobs.stored(FOLDER, after=after, limit=PAGE):
        for each in page:
            yield each.key, each.size_bytes
        after = page[-1].key


def _listed(file: Path) -> Iterator[tuple[str, int]]:
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            try:
                key, size = json.loads(line)
                yield str(key), int(size)
            except (ValueError, TypeError) as error:
                raise ValueError(f"line {number} of {file.name} is not one of a list of bytes") from error
