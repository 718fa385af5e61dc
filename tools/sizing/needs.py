"""What a load needs, by arithmetic from costs: processors, memory, database, bytes; slots come from the simulation."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tools.sizing.costs import Costs, Kind
from tools.sizing.fleet import Target, slots_for
from tools.sizing.queue_simulation import Load, around

BUSY = 0.6
"""Share of a core that may be used on average: the rest is for busy minutes and for a replica that is away."""
LEAST_REPLICAS = 2
WORKER_JOBS = 50
"""Jobs that a worker has at a time, at most: a gigabyte of memory. An assumption."""
OVERHEAD_S = 0.05
"""From the end of a job to the start of the next one in its slot."""
CONNECTIONS = 17
"""Of one worker to PostgreSQL: its pool, its LISTEN, its name, its slots of Tritons, DBOS's pool. An API has fewer."""
DAY_S = 86_400.0
READS = 2
"""GetJob calls for one job."""


@dataclass(frozen=True, slots=True)
class Demand:
    """So many jobs of a kind."""

    kind: Kind
    per_s: float
    """The mean over a day."""
    peak: float = 1.0
    """The highest rate, as a multiple of the mean."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What all demands together need. Rates are those of the busiest time, volumes those of a day."""

    slots: dict[str, int]
    """By kind with servers of ours."""
    servers: dict[str, int]
    gpus: int
    server_cores: float
    wait_s: dict[str, float]
    """Of the target's share of the jobs."""
    api_cores: float
    apis: int
    worker_cores: float
    workers: int
    provider_cores: float
    postgres_cores: float
    commits_per_s: float
    """Transactions that notify, an event each."""
    wal_per_s: float
    connections: int
    streams: float
    memory_bytes: float
    """Of APIs, workers, providers, the prompt writer and the HTTP process."""
    table_bytes_a_day: float
    stored_bytes_a_day: float
    blob_puts_per_s: float


def needs(demands: Sequence[Demand], costs: Costs, target: Target, shape: str = "constant") -> Needs:
    """Returns what is needed so that a share of the jobs waits no longer than the target's."""
    calls = costs.calls
    slots, waits = {}, {}
    for demand in demands:
        if demand.kind.servers:
            load = Load(
                per_s=demand.per_s,
                run=around(demand.kind.run_s, demand.kind.spread),
                shape=shape,
                overhead_s=OVERHEAD_S,
            )
            slots[demand.kind.name], waits[demand.kind.name] = slots_for(load, demand.kind.run_s, target)
    servers = {
        demand.kind.name: math.ceil(slots[demand.kind.name] / demand.kind.slots_per_server)
        for demand in demands
        if demand.kind.servers
    }
    peaks = [(demand.kind, demand.per_s * demand.peak) for demand in demands]
    running = sum(rate * kind.run_s for kind, rate in peaks)
    streams = running + sum(rate * waits.get(kind.name, 0.0) for kind, rate in peaks)
    call_api_s = calls["upload_api_s"] + calls["download_api_s"] + READS * calls["get_api_s"]
    call_postgres_s = calls["upload_postgres_s"] + calls["download_postgres_s"] + READS * calls["get_postgres_s"]
    api_cores = sum(rate * (kind.api_s + call_api_s) for kind, rate in peaks)
    worker_cores = sum(rate * kind.worker_s for kind, rate in peaks)
    apis = _replicas(api_cores)
    workers = max(_replicas(worker_cores), math.ceil(running / WORKER_JOBS))
    memory = costs.memory
    others = memory["provider"] * 2 + memory["prompt_writer"] + memory["studio"]
    return Needs(
        slots=slots,
        servers=servers,
        gpus=sum(servers[demand.kind.name] for demand in demands if demand.kind.gpu),
        server_cores=sum(rate * kind.triton_s for kind, rate in peaks if not kind.gpu),
        wait_s=waits,
        api_cores=api_cores,
        apis=apis,
        worker_cores=worker_cores,
        workers=workers,
        provider_cores=sum(rate * kind.provider_s for kind, rate in peaks),
        postgres_cores=sum(rate * (kind.postgres_s + call_postgres_s) for kind, rate in peaks),
        commits_per_s=sum(rate * kind.events for kind, rate in peaks),
        wal_per_s=sum(rate * (kind.wal_bytes + calls["upload_wal_bytes"]) for kind, rate in peaks),
        connections=CONNECTIONS * (apis + workers),
        streams=streams,
        memory_bytes=apis * memory["api"]
        + workers * memory["worker"]
        + others
        + streams * calls["stream_bytes"]
        + running * memory["running_job"],
        table_bytes_a_day=sum(each.per_s * DAY_S * each.kind.table_bytes for each in demands),
        stored_bytes_a_day=sum(
            each.per_s * DAY_S * (each.kind.stored_bytes + calls["upload_bytes"]) for each in demands
        ),
        blob_puts_per_s=sum(rate * (2 * kind.fragments + 4) for kind, rate in peaks),
    )


def _replicas(cores: float) -> int:
    """A process answers on one thread, so it has one core."""
    return max(LEAST_REPLICAS, math.ceil(cores / BUSY))
