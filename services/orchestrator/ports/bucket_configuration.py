"""What the bucket of an S3 store has to be configured with, apart from what is stored in it."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class ItemState(StrEnum):
    """How one thing of a bucket is."""

    CURRENT = "current"
    CHANGED = "changed"
    DIFFERENT = "different"
    """A dry run would otherwise have changed it."""
    ADVICE = "advice"
    """People decide about it."""
    UNSUPPORTED = "unsupported"
    """The store does not know it, or refuses."""
    FAILED = "failed"
    """It was changed, but reads back otherwise."""


@dataclass(frozen=True, slots=True)
class BucketItem:
    """One thing that a bucket has or lacks."""

    name: str
    state: ItemState
    detail: str
    changes: tuple[str, ...] = ()
    """A line each, beginning with `+ ` or `- `."""


class BucketConfiguration(Protocol):
    """The configuration of the bucket that is written to."""

    async def apply(self, origins: Sequence[str], *, dry_run: bool) -> list[BucketItem]:
        """Writes the rules that the service needs, and keeps those of others. Without origins CORS stays as it is.

        Raises Unavailable when the store is away or refuses the credentials.
        """
