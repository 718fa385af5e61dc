"""Changes of several entries of the library at once: which entries, and what becomes of them."""

from collections.abc import Sequence
from dataclasses import dataclass

from services.orchestrator.domain.library_filter.tree import Node

SELECTED_MOST = 1000
"""Entries that one call changes or deletes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Entries of a user that are not in the trash: those of `names`, or those of `filter`."""

    tenant: str
    user: str
    names: Sequence[str] = ()
    """SHA-256 of assets, each once."""
    filter: Node | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchChange:
    """What becomes of each entry. None: the value stays."""

    add_tags: Sequence[str] = ()
    remove_tags: Sequence[str] = ()
    favorite: bool | None = None
    rating: int | None = None
    source_module: str | None = None
    dry_run: bool = False
    """Only count."""


@dataclass(frozen=True, slots=True)
class BatchCount:
    """How many entries were selected, and how many of these were changed, or would be."""

    selected: int
    updated: int
