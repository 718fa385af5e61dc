"""Where one PostgreSQL ends: which of its resources a load uses up first."""

from collections.abc import Mapping
from dataclasses import dataclass

from tools.sizing.needs import Needs

FLUSHES_PER_S = 5_000.0
"""Writes to a disk that survive a loss of power: 0.2 ms each, as a local NVMe with a write cache has. An assumption."""
WAL_PER_S = 200e6
"""Bytes of WAL a second that a disk, an archive and a replica keep up with. An assumption."""
CORES = 32
"""Of the server. An assumption."""
CONNECTIONS = 2_000
"""Beyond, a pooler by transaction is not enough either: each process listens on a connection of its own."""


@dataclass(frozen=True, slots=True)
class Bottleneck:
    """The resource that ends first."""

    name: str
    used: float
    """Share of what one server has; above 1: it is not enough."""


def shares(needs: Needs) -> Mapping[str, float]:
    """Returns the share of each resource of one server that is used."""
    return {
        "processors": needs.postgres_cores / CORES,
        "commits that notify, one flush each": needs.commits_per_s / FLUSHES_PER_S,
        "WAL": needs.wal_per_s / WAL_PER_S,
        "connections": needs.connections / CONNECTIONS,
    }


def bottleneck(needs: Needs) -> Bottleneck:
    """Returns the resource that a load uses most of."""
    found = shares(needs)
    name = max(found, key=lambda each: found[each])
    return Bottleneck(name, found[name])
