"""Metrics of the library."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol

from services.orchestrator.domain.rendition import Recipe, Variant


class Step(StrEnum):
    """What happens to an entry when it is deleted or brought back."""

    TRASHED = "trashed"
    RESTORED = "restored"
    PURGED = "purged"


class LibraryMeter(Protocol):
    """Counts and measures what is made of assets, and what is deleted. Raises nothing."""

    def renditions_made(self, recipe: Recipe, variants: Sequence[Variant], seconds: float) -> None:
        """Renditions were made together, from the beginning of reading the asset to their storage."""

    def renditions_failed(self, variants: Sequence[Variant]) -> None:
        """Renditions cannot be made from an asset."""

    def rendition_unsigned(self, variant: Variant) -> None:
        """A rendition of a generated video could not be signed, and was stored without."""

    def deletion(self, step: Step) -> None:
        """An entry went to the trash, came back or was deleted for good."""

    def given_back(self, size_bytes: int) -> None:
        """A deletion for good gave so many bytes back to the user's limit."""

    def bytes_removed(self, size_bytes: int) -> None:
        """The collector removed so many bytes from the store."""

    def scrubbed(self, fault: str) -> None:
        """A scrub looked at a blob; `fault` is what it found, or empty."""
