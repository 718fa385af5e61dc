"""What NOTIFY costs a PostgreSQL: commits a second with and without it, and processor time for each listener."""

import select
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg

from services.orchestrator.store.embedded_postgres import EmbeddedPostgres
from tools.sizing.usage_meter import UsageMeter

SECONDS = 4.0
CLIENTS = 16
LISTENERS = (1, 41)
"""Numbers of processes that listen; the difference of the costs is that of 40."""
QUIET = "INSERT INTO sized (body) VALUES (repeat('x', 300))"
NOTIFYING = QUIET.replace("INSERT", "WITH row AS (INSERT") + ") SELECT pg_notify('changes', 'a')"
Costs = dict[str, float]


def measure() -> Costs:
    """Returns the costs, by names of costs.toml; half a minute."""
    with tempfile.TemporaryDirectory(prefix="i2v-sizing-") as name, ExitStack() as stack:
        postgres = EmbeddedPostgres(Path(name) / "postgres")
        stack.callback(postgres.close)
        connection = stack.enter_context(psycopg.connect(postgres.admin_url, autocommit=True))
        connection.execute("CREATE TABLE sized (body text)")
        meter = UsageMeter([], connection)
        found: Costs = {}
        found["commits_per_s"], _ = _rate(postgres.admin_url, meter, QUIET, CLIENTS)
        found["commits_alone_per_s"], _ = _rate(postgres.admin_url, meter, QUIET, 1)
        costs = []
        for listeners in LISTENERS:
            with _listening(postgres.admin_url, listeners):
                rate, cost = _rate(postgres.admin_url, meter, NOTIFYING, CLIENTS)
            costs.append(cost)
            found.setdefault("notifying_commits_per_s", rate)
        found["listener_postgres_s"] = max(0.0, (costs[1] - costs[0]) / (LISTENERS[1] - LISTENERS[0]))
        return found


@contextmanager
def _listening(url: str, count: int) -> Iterator[None]:
    """Listens with so many connections, and reads what they get."""
    over = threading.Event()
    with ExitStack() as stack:
        connections = [stack.enter_context(psycopg.connect(url, autocommit=True)).pgconn for _ in range(count)]
        for each in connections:
            each.exec_(b"LISTEN changes")

        def read() -> None:
            while not over.is_set():
                ready, _, _ = select.select([each.socket for each in connections], [], [], 0.1)
                for each in connections:
                    if each.socket in ready:
                        each.consume_input()
                        while each.notifies():
                            pass

        reader = threading.Thread(target=read)
        reader.start()
        try:
            yield
        finally:
            over.set()
            reader.join()


def _rate(url: str, meter: UsageMeter, statement: str, clients: int) -> tuple[float, float]:
    """Returns commits a second, and PostgreSQL's processor seconds for one."""
    counts, deadline = [0] * clients, time.monotonic() + SECONDS

    def work(number: int) -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            while time.monotonic() < deadline:
                connection.execute(statement)
                counts[number] += 1

    before, began = meter.read(), time.monotonic()
    threads = [threading.Thread(target=work, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    commits = sum(counts)
    return commits / (time.monotonic() - began), (meter.read() - before).postgres_s / commits
