"""The library against a model in plain Python, through any sequence of uploads, jobs, deletions, restores and rounds of
the collector, which is killed before or after any of its steps.
"""

import asyncio
import tempfile
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from services.errors import NotFound, Unavailable
from services.orchestrator.domain.library_entry import EntryKey
from services.orchestrator.ports.blob_removals import Unneeded
from services.orchestrator.retention.unneeded_bytes import UnneededBytes
from services.orchestrator.store.blob_removals import PostgresBlobRemovals
from services.orchestrator.store.postgres_store import PostgresStore
from tests.contract.test_stored_bytes import used
from tests.support.builders import FakeClock, numbered
from tests.support.old_jobs import Bytes, digest, run_job
from tests.support.trash_rounds import GRACE, TrashRig

NAMES, USERS, VIDEOS = ("a", "b", "c"), ("ann", "ben"), ("v1", "v2")
EMPTY = sa.text(
    "TRUNCATE jobs, assets, library_entries, counters, blob_removals, ledger_entries, unaudited_settlements,"
    " dbos.workflow_status CASCADE"
)


class Killed(BaseException):
    """The process is killed, as by kill -9: nothing handles this."""


@dataclass
class Steps:
    """Counts the steps of a process, and kills it before or after one."""

    kill_at: int
    after: bool

    async def take(self, step: Any) -> Any:
        self.kill_at -= 1
        if self.kill_at == 0 and not self.after:
            step.close()
            raise Killed
        result = await step
        if self.kill_at == 0:
            raise Killed
        return result


class DyingRemovals(PostgresBlobRemovals):
    """Each step of these may be the last."""

    steps: Steps

    async def begin(self, before: Any, *, limit: int) -> list[Unneeded]:
        return await self.steps.take(super().begin(before, limit=limit))  # type: ignore[no-any-return]

    async def end(self, unneeded: Unneeded) -> None:
        await self.steps.take(super().end(unneeded))


class DyingBlobs:
    """A folder whose deletions may be the last."""

    def __init__(self, stored: Bytes, steps: Steps) -> None:
        self._stored, self._steps = stored, steps

    async def delete(self, key: str) -> None:
        await self._steps.take(self._stored.blobs.delete(key))


class TrashMachine(RuleBasedStateMachine):
    """One library for each example."""

    store: PostgresStore
    clock: FakeClock
    run: Callable[[Any], Any]

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        path = Path(self.folder.name)
        self.rig = TrashRig(self.store, Bytes(path), self.clock, path)
        self.live: dict[EntryKey, bool] = {}
        self.fragments: dict[EntryKey, set[str]] = defaultdict(set)
        self.jobs = 0
        self.run(self._empty())

    async def _empty(self) -> None:
        async with self.store.database.writing() as connection:
            await connection.execute(EMPTY)

    @rule(name=st.sampled_from((*NAMES, *VIDEOS)), user=st.sampled_from(USERS))
    def upload(self, name: str, user: str) -> None:
        try:
            key = self.run(self.rig.upload(name, user))
        except Unavailable:  # the collector was killed while it removed the same bytes
            self.run(self.rig.collect())
            key = self.run(self.rig.upload(name, user))
        self.live[key] = True

    @rule(video=st.sampled_from(VIDEOS), user=st.sampled_from(USERS), parts=st.sets(st.sampled_from(NAMES)))
    def make(self, video: str, user: str, parts: set[str]) -> None:
        self.jobs += 1
        job = numbered(self.jobs, user=user)
        self.run(self.rig.collect())  # a job would wait for the collector
        self.run(run_job(self.store, self.clock, self.rig.stored, job, fragments=sorted(parts), output=video))
        key = EntryKey("studio", user, digest(video))
        self.live[key] = True
        self.fragments[key] |= parts

    @rule(
        name=st.sampled_from((*NAMES, *VIDEOS)), user=st.sampled_from(USERS), what=st.sampled_from(["put", "restore"])
    )
    def change(self, name: str, user: str, what: str) -> None:
        key = EntryKey("studio", user, digest(name))
        try:
            self.run(getattr(self.store.trash, what)(key, self.clock.now()))
        except NotFound:
            assert key not in self.live
        else:
            self.live[key] = what == "restore"

    @rule(name=st.sampled_from((*NAMES, *VIDEOS)), user=st.sampled_from(USERS))
    def purge(self, name: str, user: str) -> None:
        key = EntryKey("studio", user, digest(name))
        try:
            self.run(self.store.trash.purge(key, self.clock.now()))
        except NotFound:
            assert key not in self.live
        else:
            del self.live[key]
            self.fragments.pop(key, None)

    @rule(hours=st.sampled_from([1, 25]))
    def wait(self, hours: int) -> None:
        self.clock.time += timedelta(hours=hours)

    @rule(kill_at=st.integers(0, 30), after=st.booleans())
    def collect(self, kill_at: int, after: bool) -> None:
        self.run(self._collect(Steps(kill_at, after)))

    async def _collect(self, steps: Steps) -> None:
        removals = DyingRemovals(self.store.database)
        removals.steps = steps
        blobs: Any = DyingBlobs(self.rig.stored, steps)
        collector = UnneededBytes(removals, blobs, self.rig.renditions(blobs).remove)
        try:
            async for _ in collector.batches(self.clock.now() - GRACE):
                pass
        except Killed:
            pass

    def readable(self, key: EntryKey) -> bool:
        """By the model: it is live, or a fragment of a live video."""
        videos = [each for each in self.fragments if each.user == key.user and self.live.get(each)]
        return self.live.get(key, False) or any(
            key.sha256 == digest(part) for video in videos for part in self.fragments[video]
        )

    def kept(self, key: EntryKey) -> bool:
        """By the model: it is in the library or the trash, itself or by its video."""
        videos = [each for each in self.fragments if each.user == key.user and each in self.live]
        return key in self.live or any(key.sha256 == digest(part) for each in videos for part in self.fragments[each])

    @invariant()
    def agrees(self) -> None:
        if hasattr(self, "rig"):
            self.run(self._agrees())

    async def _agrees(self) -> None:
        for user in USERS:
            keys = [EntryKey("studio", user, digest(name)) for name in (*NAMES, *VIDEOS)]
            for key in keys:
                assert await self.rig.readable(key) == self.readable(key), key
                assert not self.kept(key) or await self.rig.has_bytes(key), "kept bytes are lost"
            assert (await used(self.store, user))[1] == 4 * sum(map(self.kept, keys))
        assert await self.store.counter_audits.full(limit=9) == []

    def teardown(self) -> None:
        if hasattr(self, "rig"):
            self.run(self._end())
            self.folder.cleanup()

    async def _end(self) -> None:
        """In the end nothing is left of what is not needed."""
        self.clock.time += GRACE * 2
        await self.rig.collect()
        for name in (*NAMES, *VIDEOS):
            keys = [EntryKey("studio", user, digest(name)) for user in USERS]
            assert await self.rig.has_bytes(keys[0]) == any(map(self.kept, keys)), name


async def test_nothing_needed_is_lost_and_nothing_deleted_is_read_in_any_history(
    store: PostgresStore, clock: FakeClock
) -> None:
    loop = asyncio.get_running_loop()
    TrashMachine.store, TrashMachine.clock = store, clock
    TrashMachine.run = staticmethod(lambda work: asyncio.run_coroutine_threadsafe(work, loop).result(60))
    with ThreadPoolExecutor(1) as thread:
        await loop.run_in_executor(
            thread,
            lambda: run_state_machine_as_test(  # type: ignore[no-untyped-call]
                TrashMachine,
                settings=settings(
                    max_examples=15,
                    stateful_step_count=20,
                    deadline=None,
                    suppress_health_check=list(HealthCheck),
                ),
            ),
        )
