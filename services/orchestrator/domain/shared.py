"""What a reader of a share sees."""

from dataclasses import dataclass
from datetime import datetime

from services.orchestrator.domain.asset import Asset


@dataclass(frozen=True, slots=True)
class SharedAsset:
    """An asset that a share shows now."""

    asset: Asset
    title: str
    place: "SharedPlace"


@dataclass(frozen=True, slots=True)
class SharedPlace:
    """Where it is in a collection: the next page begins after it."""

    add_time: datetime
    entry: int


@dataclass(frozen=True, slots=True)
class SharedPage:
    """What a share shows."""

    title: str
    asset_count: int
    """Of all pages."""
    assets: tuple[SharedAsset, ...]
