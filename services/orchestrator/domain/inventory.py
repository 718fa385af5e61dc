"""What an installation has at one moment: queue entries, money that is set aside, limits, stored bytes, trash."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Inventory:
    """Counts and ages, all as of one look. Ages are in seconds by the database's clock; 0: there is none."""

    entries: Mapping[tuple[str, str], int]
    """Unfinished entries of the job queue by backend and state: `waiting` or `claimed`."""
    entry_ages_s: Mapping[str, float]
    """Age of the oldest waiting entry by backend."""
    unfinished: int
    """Jobs that have not ended; each has holds."""
    held_micros: int
    """Money that these holds set aside."""
    limits: Mapping[tuple[str, int], int]
    """Limits whose present use is at least so many percent, by kind and percent."""
    stored_bytes: int
    """What counts against the limits of all tenants."""
    trash_entries: int
    trash_bytes: int
    trash_age_s: float
    """Since when the oldest entry is in the trash."""
    reconciling_age_s: float
    """Since the admission of the oldest job with an unknown paid call."""


@dataclass(frozen=True, slots=True)
class DatabaseState:
    """What a process has to know of its database, apart from its rows."""

    schema: str
    """`current`, `behind` the program, or `ahead` of it."""
    clock_offset_s: float
    """By how much this machine's clock is ahead of the database's."""
