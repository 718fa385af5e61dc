"""Lists of the library: which entries, in which order, and where a page begins."""

from dataclasses import dataclass
from enum import StrEnum

from services.orchestrator.domain.library_filter.tree import Node

TITLE_SORTED = 80
"""Characters of a title that its order looks at."""


class OrderKey(StrEnum):
    """What a list is sorted by."""

    CREATE_TIME = "create_time"
    UPDATE_TIME = "update_time"
    COST = "cost"
    SIZE = "size"
    TITLE = "title"
    RELEVANCE = "relevance"


@dataclass(frozen=True, slots=True)
class Order:
    """The order of a list."""

    key: OrderKey = OrderKey.CREATE_TIME
    descending: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class LibraryList:
    """The entries that a caller asks for."""

    tenant: str
    user: str
    filter: Node | None = None
    words: str = ""
    """As a web search: words, `"phrases"`, `or`, and `-` before a word that must not occur."""
    order: Order = Order()
    deleted: bool = False
    """Also those in the trash."""
    similar_to: int | None = None
    """A perceptual hash of 64 bits, as a signed number."""
    distance_most: int = 0
    """Bits in which the hash of an entry may differ."""


@dataclass(frozen=True, slots=True)
class Place:
    """The last entry of a page: the next page begins after it."""

    value: str
    """Of the order's key, as PostgreSQL writes it."""
    id: int
