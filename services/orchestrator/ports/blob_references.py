"""Which blobs the database names."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class NamedBlob:
    """A key under which something must be stored, and the SHA-256 of its bytes, in hexadecimal."""

    key: str
    sha256: str


class BlobReferences(Protocol):
    """The keys of all kinds of stored bytes."""

    async def named(self, *, after: str, limit: int) -> Sequence[NamedBlob]:
        """Returns the keys that follow a key, in an order that stays the same, at most `limit`. Raises Unavailable."""

    async def unnamed(self, keys: Collection[str]) -> set[str]:
        """Returns those of the keys that nothing in the database names. Raises Unavailable."""
