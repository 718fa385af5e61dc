"""Daily rollups: what the jobs of a day have cost and brought, by tenant, model and operation. They have no user.

A job counts on the day of its admission, in UTC, as in the ledger: each figure is a sum of ledger entries.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

OTHER = "other"


@dataclass(frozen=True, slots=True)
class RollupKey:
    """What a rollup is of. Rollups are listed in the order of their keys."""

    day: date
    tenant: str
    model: str
    operation: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RollupSums:
    """What the jobs of a rollup have cost and brought."""

    admitted: int = 0
    """Jobs that were admitted."""
    jobs: int = 0
    """Jobs that brought a video or cost something."""
    video_ms: int = 0
    charged_micros: int = 0
    """What the tenant paid, less refunds."""
    vendor_micros: int = 0
    """What vendors are paid by the prices of the cards, and what prompts cost."""
    slot_ms: int = 0
    """Milliseconds in which the jobs had slots of local backends."""

    def plus(self, other: "RollupSums") -> "RollupSums":
        """Returns both together."""
        names = self.__dataclass_fields__
        return RollupSums(**{name: getattr(self, name) + getattr(other, name) for name in names})

    @property
    def margin_micros(self) -> int:
        """What is left of the charge. Negative: vendors were paid more than the tenant."""
        return self.charged_micros - self.vendor_micros


@dataclass(frozen=True, slots=True)
class Rollup:
    """One line of the table."""

    key: RollupKey
    sums: RollupSums


@dataclass(frozen=True, slots=True, kw_only=True)
class RollupFilter:
    """Which rollups are asked for. An empty text: all."""

    since: date
    until: date
    """The last day, included."""
    tenant: str = ""
    model: str = ""
    operation: str = ""


@dataclass(frozen=True, slots=True)
class RollupPage:
    """Some of the rollups that are asked for."""

    rollups: list[Rollup]
    total: RollupSums
    """Of all rollups that are asked for, not only of the page."""
    time: datetime | None
    """When they were last computed; None: never."""


def most_charged(sums: Mapping[str, RollupSums], most: int) -> dict[str, RollupSums]:
    """Returns the sums of those that were charged most, and of all others together as `other`. `most` 0: nothing."""
    if most == 0:
        return {}
    names = sorted(sums, key=lambda name: (-sums[name].charged_micros, -sums[name].admitted, name))
    found = {name: sums[name] for name in names[:most]}
    for name in names[most:]:
        found[OTHER] = found.get(OTHER, RollupSums()).plus(sums[name])
    return found
