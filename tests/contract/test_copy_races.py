"""A copy to another store while blobs are deleted and stored again, or which is killed: at each of its steps."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from services.errors import NotFound, Unavailable
from services.orchestrator.assets.blob_copy import Outcome
from services.orchestrator.blobs.moving import MovingBlobs
from services.orchestrator.domain.asset import blob_key
from services.orchestrator.domain.library_entry import EntryKey
from services.orchestrator.domain.rendition import Variant, rendition_key
from services.orchestrator.ports.blobs import Blobs
from services.orchestrator.store.postgres_store import PostgresStore
from tests.support.blob_copies import (
    Happening,
    a_copy,
    copy_with,
    delete_for_good,
    kill,
    moving_bytes,
    old_rig,
    outcomes,
)
from tests.support.builders import FakeClock
from tests.support.old_jobs import digest
from tests.support.trash_rounds import TrashRig

NAMES = ("a", "b", "c")
ENOUGH = 60
"""More steps than a copy of three blobs has."""
LEAST = 12
"""It has at least so many: each blob is looked for, read, noted, stored, and looked for again."""
EMPTY = sa.text(
    "TRUNCATE jobs, assets, library_entries, counters, blob_removals, ledger_entries, unaudited_settlements CASCADE"
)


def key_of(key: EntryKey) -> str:
    return blob_key(key.tenant, key.sha256)


def sides(rig: TrashRig) -> tuple[Blobs, Blobs]:
    """The new store and the old one."""
    return rig.stored.blobs.new, rig.stored.blobs.old  # type: ignore[attr-defined]


async def sizes(rig: TrashRig, key: str) -> list[int | None]:
    return [await each.size(key) for each in sides(rig)]


@asynccontextmanager
async def a_rig(store: PostgresStore, clock: FakeClock) -> AsyncIterator[TrashRig]:
    """Two empty stores."""
    with tempfile.TemporaryDirectory() as folder:
        rig = TrashRig(store, moving_bytes(Path(folder)), clock, Path(folder))
        yield rig
        await rig.stored.blobs.close()
    async with store.database.writing() as connection:
        await connection.execute(EMPTY)


async def put(rig: TrashRig, key: str) -> None:
    """Stores a byte in the old store."""
    source = rig.folder / "put"
    source.unlink(missing_ok=True)
    source.write_bytes(b"a")
    await sides(rig)[1].put_file(key, source, media_type="video/mp4")


async def days_pass(rig: TrashRig) -> None:
    rig.clock.advance(2 * 86_400)
    await rig.collect()


async def test_what_is_deleted_at_any_step_does_not_come_back(store: PostgresStore, clock: FakeClock) -> None:
    for at in range(1, ENOUGH):
        async with a_rig(store, clock) as rig:
            gone, kept = await old_rig(rig).upload("a"), await old_rig(rig).upload("b")
            steps = await copy_with(rig, {at: partial(delete_for_good, rig, gone)})
            if steps < at:
                break
            await days_pass(rig)
            assert await sizes(rig, key_of(gone)) == [None, None], at
            assert await sizes(rig, key_of(kept)) == [1, 1], at
    assert at > LEAST


async def test_what_is_deleted_and_stored_again_at_any_step_stays(store: PostgresStore, clock: FakeClock) -> None:
    for at in range(1, ENOUGH):
        async with a_rig(store, clock) as rig:
            key = await old_rig(rig).upload("a")

            async def change(rig: TrashRig = rig, key: EntryKey = key) -> None:
                await delete_for_good(rig, key)
                await rig.upload("a")

            steps = await copy_with(rig, {at: change})
            if steps < at:
                break
            await days_pass(rig)
            assert await rig.readable(key), at
            assert (await sizes(rig, key_of(key)))[0] == 1
    assert at > LEAST


async def test_a_copy_that_is_killed_at_any_step_loses_nothing_and_leaves_nothing(
    store: PostgresStore, clock: FakeClock
) -> None:
    for at in range(1, ENOUGH):
        async with a_rig(store, clock) as rig:
            gone, kept = await old_rig(rig).upload("a"), await old_rig(rig).upload("b")
            rendition = rendition_key("studio", gone.sha256, Variant.POSTER)
            await put(rig, rendition)
            steps = await copy_with(rig, {at: kill})
            if steps < at:
                break
            await days_pass(rig)
            assert await rig.readable(gone)
            assert await rig.readable(kept)
            await delete_for_good(rig, gone)
            await outcomes(a_copy(rig))
            assert await sizes(rig, key_of(gone)) == [None, None], at
            assert await sizes(rig, rendition) == [None, None], at
            assert await sizes(rig, key_of(kept)) == [1, 1], at
    assert at > LEAST


class Halves:
    """A deletion from two stores, whose second half waits."""

    def __init__(self, rig: TrashRig, key: str) -> None:
        self.begun, self.may_end = asyncio.Event(), asyncio.Event()
        self._key = key
        stores: list[Any] = [_Waiting(store, self) for store in sides(rig)]
        self._blobs = MovingBlobs(*stores)

    async def begin(self) -> None:
        self._task = asyncio.create_task(self._blobs.delete(self._key))
        await self.begun.wait()

    async def end(self) -> None:
        self.may_end.set()
        await self._task


@dataclass
class _Waiting:
    blobs: Blobs
    halves: Halves

    async def delete(self, key: str) -> None:
        if self.halves.begun.is_set():
            await self.halves.may_end.wait()
        await self.blobs.delete(key)
        self.halves.begun.set()


async def each_two_steps(
    store: PostgresStore, clock: FakeClock, two: Callable[[TrashRig, str], tuple[Happening, Happening]]
) -> None:
    """Copies a blob without a record, with something at each two steps; afterwards nothing may be left of it."""
    key = blob_key("studio", digest("a"))
    for first in range(1, ENOUGH):
        for second in range(first + 1, ENOUGH):
            async with a_rig(store, clock) as rig:
                await put(rig, key)
                at_first, at_second = two(rig, key)
                steps = await copy_with(rig, {first: at_first, second: at_second})
                if steps < second:
                    if first <= steps and at_second is not kill:
                        await at_second()  # a deletion that has begun
                    break
                await days_pass(rig)
                assert await sizes(rig, key) == [None, None], (first, second)
        if steps < first:
            break
    assert first > LEAST // 2


async def test_a_deletion_with_steps_of_a_copy_in_its_middle_deletes(store: PostgresStore, clock: FakeClock) -> None:
    def halves(rig: TrashRig, key: str) -> tuple[Happening, Happening]:
        both = Halves(rig, key)
        return both.begin, both.end

    await each_two_steps(store, clock, halves)


async def test_a_copy_that_is_killed_after_a_deletion_brings_nothing_back(
    store: PostgresStore, clock: FakeClock
) -> None:
    await each_two_steps(store, clock, lambda rig, key: (partial(rig.stored.blobs.delete, key), kill))


class MovingMachine(RuleBasedStateMachine):
    """A library that moves to another store, in any history; what happens during a copy is at any step of it."""

    store: PostgresStore
    clock: FakeClock
    run: Callable[[Any], Any]

    @initialize()
    def begin(self) -> None:
        self.stack = AsyncExitStack()
        self.rig: TrashRig = self.run(self.stack.enter_async_context(a_rig(self.store, self.clock)))
        self.live: set[EntryKey] = set()

    async def _upload(self, name: str, rig: TrashRig) -> None:
        try:
            self.live.add(await rig.upload(name))
        except Unavailable:  # the same bytes are being removed
            await self.rig.collect()
            self.live.add(await rig.upload(name))

    async def _purge(self, name: str) -> None:
        key = EntryKey("studio", "ann", digest(name))
        try:
            await self.store.trash.purge(key, self.clock.now())
        except NotFound:
            assert key not in self.live
        self.live.discard(key)

    async def _collect(self, hours: int) -> None:
        self.clock.advance(hours * 3600)
        await self.rig.collect()

    @rule(name=st.sampled_from(NAMES), before=st.booleans())
    def upload(self, name: str, before: bool) -> None:
        self.run(self._upload(name, old_rig(self.rig) if before else self.rig))

    @rule(name=st.sampled_from(NAMES))
    def purge(self, name: str) -> None:
        self.run(self._purge(name))

    @rule(hours=st.sampled_from([1, 25]))
    def collect(self, hours: int) -> None:
        self.run(self._collect(hours))

    @rule(what=st.dictionaries(st.integers(1, 30), st.sampled_from(["kill", "upload", "purge", "collect", "read"])))
    def copy(self, what: dict[int, str]) -> None:
        self.run(copy_with(self.rig, {at: partial(self._happen, each, NAMES[at % 3]) for at, each in what.items()}))

    async def _happen(self, what: str, name: str) -> None:
        match what:
            case "kill":
                await kill()
            case "upload":
                await self._upload(name, self.rig)
            case "purge":
                await self._purge(name)
            case "collect":
                await self._collect(2)
            case _:
                await self._agrees()

    @invariant()
    def agrees(self) -> None:
        if hasattr(self, "rig"):
            self.run(self._agrees())

    async def _agrees(self) -> None:
        for name in NAMES:
            key = EntryKey("studio", "ann", digest(name))
            assert await self.rig.readable(key) == (key in self.live), name

    def teardown(self) -> None:
        if hasattr(self, "rig"):
            self.run(self._end())
            self.run(self.stack.aclose())

    async def _end(self) -> None:
        """In the end everything is in the new store, and nothing else in either."""
        await outcomes(a_copy(self.rig))
        await days_pass(self.rig)
        assert {outcome for _, outcome in await outcomes(a_copy(self.rig))} <= {Outcome.PRESENT}
        for name in NAMES:
            found = await sizes(self.rig, blob_key("studio", digest(name)))
            live = EntryKey("studio", "ann", digest(name)) in self.live
            assert found[0] == 1 if live else found == [None, None], (name, found)


async def test_nothing_needed_is_lost_and_nothing_deleted_is_left_in_any_history(
    store: PostgresStore, clock: FakeClock
) -> None:
    loop = asyncio.get_running_loop()
    MovingMachine.store, MovingMachine.clock = store, clock
    MovingMachine.run = staticmethod(lambda work: asyncio.run_coroutine_threadsafe(work, loop).result(60))
    chosen = settings(max_examples=20, stateful_step_count=15, deadline=None, suppress_health_check=list(HealthCheck))
    with ThreadPoolExecutor(1) as thread:
        await loop.run_in_executor(
            thread,
            lambda: run_state_machine_as_test(MovingMachine, settings=chosen),  # type: ignore[no-untyped-call]
        )
