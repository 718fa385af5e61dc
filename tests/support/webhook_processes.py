"""Processes that write events and that deliver them, to be killed: they are forked from one that has imported all.

Each child is named on stdin: `write SEED` or `send SECONDS`, where the seconds move its clock. Its number is printed.
"""

import asyncio
import os
import random
import subprocess
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from services.orchestrator.domain import next_event
from services.orchestrator.domain.asset import Asset
from services.orchestrator.domain.event import Body, Cancelled, FragmentReady, JobError, Progressed, Retrying, Started
from services.orchestrator.domain.library_entry import EntryKey
from services.orchestrator.domain.media_info import PictureInfo
from services.orchestrator.ports.webhooks import Claimed, Failure
from services.orchestrator.store.postgres_store import PostgresStore
from services.orchestrator.store.queue_entries import Queue
from tests.support.builders import NOON, FakeClock, a_caller, admit, numbered

LEASE = timedelta(minutes=30)
ERROR = JobError("X", "x", retryable=True)


class Processes:
    """The children of one process."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def start(self, *words: object) -> int:
        """Forks a child, and returns its number."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(" ".join(map(str, words)) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def wait(self) -> None:
        """Waits until all children have ended."""
        self.start("wait")


@contextmanager
def processes(url: str, received: Path) -> Iterator[Processes]:
    """Yields what forks children; `received` is the file of the receiver."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "tests.support.webhook_processes", url, str(received)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        yield Processes(process)
        assert process.stdin is not None
        process.stdin.close()
        process.wait(60)


async def _write(store: PostgresStore, seed: int) -> None:
    """Writes events until it is killed: of jobs that begin, go on and end, and of assets that come and go."""
    dice = random.Random(seed)
    for number in range(seed * 10_000, (seed + 1) * 10_000):
        job = await admit(store, numbered(number, user=f"user-{dice.randrange(3)}"))
        for _ in range(dice.randrange(4)):
            await store.jobs.record(job.id, lambda job: _next(dice, job.attempt))
        if dice.random() < 0.5:
            await store.jobs.record(job.id, next_event.cancel)
            await store.jobs.record(job.id, lambda job: None if job.state.ended else Cancelled(0))
        digest = f"{number:064x}"
        await store.assets.put(Asset("studio", "ann", digest, 10, PictureInfo("image/png", 4, 4), NOON), a_caller())
        for _ in range(dice.randrange(3)):
            await store.trash.put(EntryKey("studio", "ann", digest), NOON)
            await store.trash.restore(EntryKey("studio", "ann", digest), NOON)


def _next(dice: random.Random, attempt: int) -> Body:
    if not attempt:
        return Started(1)
    later = NOON + timedelta(seconds=5)
    return dice.choice([Progressed("generate", 0.5), FragmentReady(0, "f" * 64, 8, 9, 0.5), Retrying(ERROR, later)])


async def _send(store: PostgresStore, seconds: int, received: Path) -> None:
    """Delivers what is due at one moment, until nothing is. Every tenth try fails."""
    now, dice = NOON + timedelta(seconds=seconds), random.Random(os.getpid())
    file = os.open(received, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    idle = 0
    while idle < 3:
        claimed = await store.webhook_deliveries.claim(20, now, LEASE, most_per_endpoint=10)
        idle = 0 if claimed else idle + 1
        await asyncio.gather(*(_deliver(store, each, file, dice) for each in claimed))


async def _deliver(store: PostgresStore, each: Claimed, file: int, dice: random.Random) -> None:
    now = each.create_time
    if dice.random() < 0.1:
        await store.webhook_deliveries.failed(each, Failure(503, "HTTP 503"), now, now, hold_until=None)
        return
    os.write(file, f"{each.id} {each.number}\n".encode())  # now the receiver has it
    await store.webhook_deliveries.delivered(each, now, 200)


def _child(words: list[str], url: str, received: Path) -> None:
    async def work() -> None:
        store = PostgresStore(url, clock=FakeClock(), queue=Queue("make_video", "i2v-test", "1"))
        await (_write(store, int(words[1])) if words[0] == "write" else _send(store, int(words[1]), received))

    asyncio.run(work())


def _serve(url: str, received: Path) -> None:
    for line in sys.stdin:
        child = 0
        if line.split() == ["wait"]:
            while True:
                try:
                    os.wait()
                except ChildProcessError:
                    break
        elif (child := os.fork()) == 0:
            try:
                _child(line.split(), url, received)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(0)
        sys.stdout.write(f"{child}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _serve(sys.argv[1], Path(sys.argv[2]))
