"""What waits and who works, as all processes see it in the database."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Backlog:
    """The jobs that wait for a backend."""

    jobs: int
    oldest: datetime
    """When the oldest of them was admitted."""


@dataclass(frozen=True, slots=True)
class WorkerReport:
    """What a worker says of its backends."""

    slots: Mapping[str, int]
    """Jobs at a time, by backend."""
    servers: Mapping[str, Mapping[str, int]]
    """By backend, the servers that it shares with other workers, each with its jobs at a time of all of them."""


def jobs_at_a_time(workers: Collection[WorkerReport], backend: str) -> int:
    """Returns how many jobs of a backend these workers run at a time: no more than their servers take together."""
    sharing = [worker for worker in workers if worker.servers.get(backend)]
    alone = sum(worker.slots.get(backend, 0) for worker in workers if worker not in sharing)
    servers: dict[str, int] = {}
    for worker in sharing:
        for server, slots in worker.servers[backend].items():
            servers[server] = max(slots, servers.get(server, 0))
    return alone + min(sum(worker.slots.get(backend, 0) for worker in sharing), sum(servers.values()))


@dataclass(frozen=True, slots=True)
class Fleet:
    """The queues and the workers of an installation."""

    backlogs: Mapping[str, Backlog]
    """By backend; only those for which jobs wait."""
    slots: Mapping[str, int]
    """Jobs at a time by backend, of the workers that are alive."""
    alive: int
    """Workers with a recent heartbeat."""
    silent: int
    """Workers that stopped to write heartbeats without leaving, and have not come back under their name."""
