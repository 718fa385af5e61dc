"""The library against a model in plain Python, through any sequence of uploads, jobs, deletions, restores, changes of
collections and rounds of the collector, each of which is killed at any of its suspensions, and then done again.
"""

import asyncio
import tempfile
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from services.errors import NotFound, Unavailable
from services.orchestrator.domain import library_filter
from services.orchestrator.domain.asset import blob_key
from services.orchestrator.domain.collection import CollectionKey
from services.orchestrator.domain.library_entry import EntryKey
from services.orchestrator.domain.library_list import LibraryList
from services.orchestrator.domain.open_upload import UPLOADS
from services.orchestrator.store.postgres_store import PostgresStore
from tests.contract.test_stored_bytes import used
from tests.support.builders import FakeClock, numbered
from tests.support.library_life import TENANT, Life, Lives, Work
from tests.support.old_jobs import digest
from tests.support.trash_rounds import GRACE

NAMES, USERS, VIDEOS = ("aaaa", "bbbb", "cccc"), ("ann", "ben"), ("vid1", "vid2")
ALL = st.sampled_from((*NAMES, *VIDEOS))
USER = st.sampled_from(USERS)
KILL = st.one_of(st.just(0), st.integers(1, 40))
"""The suspension at which the process is killed; 0: none."""
LATE = st.booleans()
"""Whether a killed process is back only when the collector has come by, a day later."""
EMPTY = sa.text(
    "TRUNCATE jobs, assets, library_entries, collections, counters, blob_removals, uploads, ledger_entries,"
    " unaudited_settlements, dbos.workflow_status CASCADE"
)


Play = Callable[[Callable[[], None]], Awaitable[None]]


def key_of(name: str, user: str) -> EntryKey:
    return EntryKey(TENANT, user, digest(name))


def roofs(user: str) -> CollectionKey:
    return CollectionKey(TENANT, user, "roofs")


@dataclass
class Model:
    """What the library should be."""

    live: dict[EntryKey, bool] = field(default_factory=dict)
    """The entries; False: in the trash."""
    fragments: dict[EntryKey, set[str]] = field(default_factory=lambda: defaultdict(set))
    """Of videos."""
    members: set[EntryKey] = field(default_factory=set)
    """Of each user's collection."""

    def copy(self) -> "Model":
        pieces = defaultdict(set, {key: set(names) for key, names in self.fragments.items()})
        return Model(dict(self.live), pieces, set(self.members))

    def readable(self, key: EntryKey) -> bool:
        """It is live, or a fragment of a live video."""
        return self.live.get(key, False) or any(self.live.get(video, False) for video in self._videos_of(key))

    def kept(self, key: EntryKey) -> bool:
        """It is in the library or the trash, itself or by its video."""
        return key in self.live or any(video in self.live for video in self._videos_of(key))

    def _videos_of(self, key: EntryKey) -> list[EntryKey]:
        """The videos of the user that it is a fragment of."""
        of = [video for video in self.fragments if video.user == key.user]
        return [video for video in of if key.sha256 in map(digest, self.fragments[video])]

    def purge(self, key: EntryKey) -> None:
        del self.live[key]
        self.fragments.pop(key, None)
        self.members.discard(key)


class TrashMachine(RuleBasedStateMachine):
    """One library for each example."""

    store: PostgresStore
    clock: FakeClock
    run: Callable[[Any], Any]

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.lives = Lives(self.store, self.clock, Path(self.folder.name))
        self.model = Model()
        self.jobs = 0
        self.killed = False
        """Whether the last process was."""
        self.run(self._empty())

    async def _empty(self) -> None:
        async with self.store.database.writing() as connection:
            await connection.execute(EMPTY)
        for user in USERS:
            await self.store.collections.create(roofs(user), "Roofs", "", self.clock.now())

    @rule(name=ALL, user=USER, in_parts=st.booleans(), kill=KILL, late=LATE)
    def upload(self, name: str, user: str, in_parts: bool, kill: int, late: bool) -> None:
        id = str(uuid.uuid4())

        async def work(life: Life) -> None:
            await (life.upload_in_parts(name, user, id) if in_parts else life.upload(name, user))

        after = self.model.copy()
        after.live[key_of(name, user)] = True
        self._do(work, kill, late, after)

    @rule(video=st.sampled_from(VIDEOS), user=USER, parts=st.sets(st.sampled_from(NAMES)), kill=KILL, late=LATE)
    def make(self, video: str, user: str, parts: set[str], kill: int, late: bool) -> None:
        self.jobs += 1
        job = replace(numbered(self.jobs, user=user), create_time=self.clock.now())
        after = self.model.copy()
        after.live[key_of(video, user)] = True
        after.fragments[key_of(video, user)] |= parts
        # Half of a job shows some of its fragments, so that the model holds again only when the job has ended.
        self._do(lambda life: life.make(job, sorted(parts), video), kill, late, after, in_between=False)

    @rule(name=ALL, user=USER, what=st.sampled_from(["put", "restore", "purge"]), kill=KILL, late=LATE)
    def change(self, name: str, user: str, what: str, kill: int, late: bool) -> None:
        key, after = key_of(name, user), self.model.copy()
        if key in after.live:
            if what == "purge":
                after.purge(key)
            else:
                after.live[key] = what == "restore"

        async def work(life: Life) -> None:
            try:
                await getattr(life.store.trash, what)(key, life.clock.now())
            except NotFound:
                assert key not in after.live

        self._do(work, kill, late, after)

    @rule(name=ALL, user=USER, what=st.sampled_from(["add", "remove"]), kill=KILL, late=LATE)
    def collection(self, name: str, user: str, what: str, kill: int, late: bool) -> None:
        key, after = key_of(name, user), self.model.copy()
        if what == "remove":
            after.members.discard(key)
        elif after.live.get(key):
            after.members.add(key)

        async def work(life: Life) -> None:
            await getattr(life.store.collections, what)(roofs(user), [key.sha256], life.clock.now())

        self._do(work, kill, late, after)

    @rule(hours=st.sampled_from([1, 25]))
    def wait(self, hours: int) -> None:
        self.clock.time += timedelta(hours=hours)

    @rule(kill=KILL)
    def collect(self, kill: int) -> None:
        self.killed = not self.run(self.lives.run(lambda life: life.collect(), kill))

    def _do(self, work: Work, kill: int, late: bool, after: Model, *, in_between: bool = True) -> None:
        """Does something once, or again after a kill. In between the library is as before, or as after."""
        try:
            done = self.run(self.lives.run(work, kill))
        except Unavailable:  # a collector was killed while it removed the same bytes
            done = False
        self.killed = not done
        if not done:
            if in_between:
                self.run(self._is_either(self.model, after))
            if late:
                self.clock.time += GRACE + timedelta(hours=1)
            self.run(self.lives.run(lambda life: life.collect()))
            self.run(self.lives.run(work))
        self.model = after

    async def _is_either(self, before: Model, after: Model) -> None:
        try:
            await self._is(before)
        except AssertionError:
            await self._is(after)

    @invariant()
    def agrees(self) -> None:
        if hasattr(self, "model"):
            self.run(self._is(self.model))

    async def _is(self, model: Model) -> None:
        await self.lives.run(lambda life: self._bytes_are(life, model))
        for user in USERS:
            kept = sum(model.kept(key_of(name, user)) for name in (*NAMES, *VIDEOS))
            assert (await used(self.store, user))[1] == 4 * kept
            shown = {key for key in model.members if key.user == user and model.live.get(key)}
            assert await self._members(user) == {key.sha256 for key in shown}
            assert (await self.store.collections.get(roofs(user))).asset_count == len(shown)
        assert await self.store.counter_audits.full(limit=9) == []

    async def _bytes_are(self, life: Life, model: Model) -> None:
        for user in USERS:
            for name in (*NAMES, *VIDEOS):
                key = key_of(name, user)
                expected = name.encode() if model.readable(key) else None
                assert await life.content(key) == expected, (name, user)
                size = await life.blobs.size(blob_key(TENANT, key.sha256))
                assert size == 4 or not model.kept(key), "kept bytes are lost"

    async def _members(self, user: str) -> set[str]:
        which = LibraryList(tenant=TENANT, user=user, filter=library_filter.parse("collection = roofs"))
        return {asset.sha256 for asset, _, _ in await self.store.library.page(which, None, 100)}

    def teardown(self) -> None:
        if hasattr(self, "model"):
            self.run(self._end())
            self.folder.cleanup()

    async def _end(self) -> None:
        """In the end nothing is left of what is not needed."""
        self.clock.time += GRACE * 2
        left: dict[str, bool] = {}

        async def look(life: Life) -> None:
            await life.collect()
            assert await life.blobs.stored(UPLOADS, after="", limit=9) == []
            for name in (*NAMES, *VIDEOS):
                left[name] = await life.blobs.size(blob_key(TENANT, digest(name))) is not None

        await self.lives.run(look)
        assert left == {name: any(self.model.kept(key_of(name, user)) for user in USERS) for name in (*NAMES, *VIDEOS)}


@pytest.fixture
async def play(store: PostgresStore, clock: FakeClock) -> AsyncIterator[Play]:
    """Runs something that uses the machine, on a thread of its own."""
    loop = asyncio.get_running_loop()
    TrashMachine.store, TrashMachine.clock = store, clock
    TrashMachine.run = staticmethod(lambda work: asyncio.run_coroutine_threadsafe(work, loop).result(60))
    with ThreadPoolExecutor(1) as thread:
        yield lambda game: loop.run_in_executor(thread, game)


async def test_nothing_needed_is_lost_and_nothing_deleted_is_read_in_any_history(play: Play) -> None:
    limits = settings(max_examples=15, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck))
    await play(lambda: run_state_machine_as_test(TrashMachine, settings=limits))  # type: ignore[no-untyped-call]


def made(machine: TrashMachine) -> None:
    """A picture in the collection, and a video with two fragments."""
    machine.upload("aaaa", "ann", in_parts=False, kill=0, late=False)
    machine.collection("aaaa", "ann", "add", kill=0, late=False)
    machine.make("vid1", "ann", {"aaaa", "bbbb"}, kill=0, late=False)


def deleted(machine: TrashMachine) -> None:
    made(machine)
    for name in ("aaaa", "vid1"):
        machine.change(name, "ann", "put", kill=0, late=False)


def purged(machine: TrashMachine) -> None:
    made(machine)
    for name in ("aaaa", "vid1"):
        machine.change(name, "ann", "purge", kill=0, late=False)
    machine.wait(25)


@pytest.mark.parametrize(
    ("before", "work"),
    [
        (None, lambda machine, kill: machine.upload("aaaa", "ann", False, kill, True)),
        (None, lambda machine, kill: machine.upload("aaaa", "ann", True, kill, True)),
        (purged, lambda machine, kill: machine.upload("aaaa", "ann", False, kill, False)),
        (None, lambda machine, kill: machine.make("vid1", "ann", {"aaaa"}, kill, True)),
        (made, lambda machine, kill: machine.change("vid1", "ann", "put", kill, True)),
        (deleted, lambda machine, kill: machine.change("vid1", "ann", "restore", kill, True)),
        (deleted, lambda machine, kill: machine.change("vid1", "ann", "purge", kill, True)),
        (made, lambda machine, kill: machine.collection("vid1", "ann", "add", kill, True)),
        (purged, lambda machine, kill: machine.collect(kill)),
    ],
    ids=["upload", "parts", "again", "job", "delete", "restore", "purge", "collection", "collector"],
)
async def test_a_process_may_be_killed_at_each_of_its_suspensions(
    play: Play, before: Callable[[TrashMachine], None] | None, work: Callable[[TrashMachine, int], None]
) -> None:
    def game() -> None:
        kill = 0
        while True:
            kill += 1
            machine = TrashMachine()
            try:
                machine.begin()
                if before is not None:
                    before(machine)
                work(machine, kill)
                machine.agrees()
            finally:
                machine.teardown()
            if not machine.killed:
                break

    await play(game)
