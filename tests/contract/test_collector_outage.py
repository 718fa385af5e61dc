"""The collector when the S3 store goes away between two of its steps, and comes back."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from services.errors import Unavailable
from services.orchestrator.domain.retention import NOTHING_DUE
from services.orchestrator.library_metrics import LibraryMetrics
from services.orchestrator.retention.unneeded_bytes import UnneededBytes
from services.orchestrator.store.postgres_store import PostgresStore
from tests.support.blob_copies import Stepping, Steps
from tests.support.blob_stores import minio
from tests.support.builders import FakeClock
from tests.support.old_jobs import Bytes
from tests.support.s3_fixture import S3Server, running_s3
from tests.support.trash_rounds import GRACE, TrashRig

ENOUGH = 100
"""More steps than the collector has for one asset."""


class Outages:
    """A server that a test ends and starts again, with what is stored in it."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._running = folder, ExitStack()
        self.server = self._run(0)

    def _run(self, port: int) -> S3Server:
        return self._running.enter_context(running_s3(self._folder, port=port))

    async def begin(self) -> None:
        self._running.close()

    def end(self) -> None:
        self._run(int(self.server.endpoint.split(":")[1]))

    def close(self) -> None:
        self._running.close()


@pytest.fixture
def outages(tmp_path: Path) -> Iterator[Outages]:
    made = Outages(tmp_path / "s3")
    yield made
    made.close()


async def test_an_outage_at_any_step_loses_nothing_and_the_collector_goes_on_afterwards(
    store: PostgresStore, clock: FakeClock, outages: Outages, tmp_path: Path
) -> None:
    stored: Any = Bytes(tmp_path)
    stored.blobs = minio(outages.server)
    rig = TrashRig(store, stored, clock, tmp_path)
    kept, refused = await rig.upload("kept"), 0
    for at in range(1, ENOUGH, 2):  # before each call; after it is before the next one
        gone = await rig.upload(f"gone {at}")
        await store.trash.purge(gone, clock.now())
        clock.time += 2 * GRACE
        steps = Steps({at: outages.begin})
        removals: Any = Stepping(store.blob_removals, steps)
        blobs: Any = Stepping(stored.blobs, steps)
        collector = UnneededBytes(removals, blobs, rig.renditions(blobs).remove, LibraryMetrics(CollectorRegistry()))
        try:
            async for _ in collector.batches(clock.now() - GRACE):
                pass
        except Unavailable:
            refused += 1
        if steps.number < at:
            break
        outages.end()
        await rig.collect()
        assert not await rig.has_bytes(gone), at
        assert await rig.readable(kept)
        assert await store.blob_removals.due(clock.now()) == NOTHING_DUE
    assert refused > 8, "the collector has noticed the outage"
    await stored.blobs.close()
