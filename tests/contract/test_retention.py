"""Rounds of retention: of anything there is, only what may go goes; and an interrupted round loses nothing."""

import asyncio
import gc
import tempfile
import warnings
from collections.abc import AsyncGenerator, AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.errors import PreconditionFailed, Unavailable
from services.orchestrator.api.authentication import digest as key_digest
from services.orchestrator.domain.asset import blob_key
from services.orchestrator.domain.job import Job, State
from services.orchestrator.domain.retention import NOTHING_DUE, Ages, Due, Kind
from services.orchestrator.store.postgres_store import PostgresStore
from services.orchestrator.store.queue_entries import Queue
from services.orchestrator.store.retention_lock import RetentionLock
from services.reasons import RetentionReason, ServiceReason
from tests.support.builders import NOON, FakeClock, a_caller, numbered
from tests.support.old_jobs import ACT, DAY_S, DAYS, Bytes, digest, known, retention, run_job, sequences, video

NAMES = ("a", "b", "c")
TENANTS = ("studio", "story")
USERS = ("ann", "ben")
HELD = "story"
EMPTY = sa.text("TRUNCATE tenants, jobs, assets, ledger_entries, unaudited_settlements, dbos.workflow_status CASCADE")
STATES = (State.SUCCEEDED, State.SUCCEEDED, State.QUEUED, State.RUNNING, State.FAILED, State.CANCELLED)


@dataclass(frozen=True)
class Life:
    """A job of a test."""

    tenant: str
    user: str
    state: State
    age_days: int
    fragments: tuple[str, ...]
    output: str

    @property
    def old(self) -> bool:
        return self.state.ended and self.age_days > DAYS[Kind.EVENTS] and self.tenant != HELD

    @property
    def gone(self) -> bool:
        return self.old and self.age_days > DAYS[Kind.JOBS]


lives = st.builds(
    Life,
    tenant=st.sampled_from(TENANTS),
    user=st.sampled_from(USERS),
    state=st.sampled_from(STATES),
    age_days=st.sampled_from([1, 29, 31, 60, 399, 401]),
    fragments=st.lists(st.sampled_from(NAMES), unique=True, max_size=3).map(tuple),
    output=st.sampled_from(["video", "b"]),
)


class BreakingBytes(Bytes):
    """Blobs that cannot be reached at one call."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.calls_left = 0

    async def delete_idle(self, key: str, *, idle_s: float) -> bool:
        self.calls_left -= 1
        if self.calls_left == 0:
            raise Unavailable("away", reason=ServiceReason.BLOBS_UNAVAILABLE)
        return await self.blobs.delete_idle(key, idle_s=idle_s)

    def __getattr__(self, name: str) -> object:
        return getattr(self.blobs, name)


@settings(max_examples=20, suppress_health_check=list(HealthCheck))
@given(
    made=st.lists(lives, min_size=1, max_size=7),
    uploads=st.sets(st.tuples(st.sampled_from(TENANTS), st.sampled_from(USERS), st.sampled_from(NAMES)), max_size=2),
    breaks_at=st.integers(0, 4),
)
def test_only_what_may_go_goes_and_a_break_between_loses_nothing(
    database: str, made: list[Life], uploads: set[tuple[str, str, str]], breaks_at: int
) -> None:
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, scenario(database, Path(folder), made, uploads, breaks_at)).result()


@asynccontextmanager
async def emptied(database: str, clock: FakeClock, stored: Bytes) -> AsyncIterator[PostgresStore]:
    store = PostgresStore(database, clock=clock, queue=Queue("make_video", "i2v-test", "1"))
    await store.start()
    try:
        async with store.database.writing() as connection:
            await connection.execute(EMPTY)
        for tenant in TENANTS:
            await store.tenants.put(tenant, "test", key_digest(f"{tenant}-key"))
        yield store
    finally:
        await store.stop()
        await stored.blobs.close()


async def scenario(
    database: str, folder: Path, made: list[Life], uploads: set[tuple[str, str, str]], breaks_at: int
) -> None:
    clock, stored = FakeClock(), BreakingBytes(folder)
    async with emptied(database, clock, stored) as store:
        jobs: list[tuple[Life, Job]] = []
        for number, life in enumerate(made, start=1):
            clock.time = NOON
            clock.advance(-life.age_days * DAY_S)
            job = numbered(number, tenant=life.tenant, user=life.user)
            plan = {"state": life.state, "fragments": life.fragments, "output": life.output}
            jobs.append((life, await run_job(store, clock, stored, job, **plan)))  # type: ignore[arg-type]
        for number, (tenant, user, name) in enumerate(sorted(uploads)):
            await stored.put(blob_key(tenant, digest(name)))
            asset = video(numbered(100 + number, tenant=tenant, user=user), name, NOON)
            await store.assets.put(asset, a_caller(user, tenant))
        clock.time = NOON
        await store.legal_holds.set(HELD, "a lawsuit", ACT)
        stored.calls_left = breaks_at
        removing = retention(store, stored, clock)  # type: ignore[arg-type]
        await removing.round()  # perhaps with a break
        await check(store, stored, jobs, uploads)
        await removing.round()
        await check(store, stored, jobs, uploads)
        assert await store.counter_audits.full(limit=9) == []
        for life, job in jobs:
            assert not (life.old and await sequences(store, job.id))
            page = await store.jobs.page(life.tenant, life.user, state=None, after=None, limit=99)
            assert (job.id in {each.id for each in page}) is not life.gone
            if life.old and life.state is State.SUCCEEDED:
                await check_gone(store, stored, life, [other for other, _ in jobs], uploads)


async def check(
    store: PostgresStore, stored: Bytes, jobs: list[tuple[Life, Job]], uploads: set[tuple[str, str, str]]
) -> None:
    """Checks what must be there at any time."""
    needed = set(uploads)
    for life, job in jobs:
        if life.state is State.SUCCEEDED:
            needed.add((life.tenant, life.user, life.output))
        if not life.old:
            assert await store.jobs.get(job.id) == job
            assert await sequences(store, job.id) == list(range(1, job.last_sequence + 1))
        if life.state is not State.QUEUED and not life.old:
            needed |= {(life.tenant, life.user, name) for name in life.fragments}
    for tenant, user, name in needed:
        assert await known(store, tenant, user, name)
        assert await stored.has(blob_key(tenant, digest(name)))


async def check_gone(
    store: PostgresStore, stored: Bytes, life: Life, lives: list[Life], uploads: set[tuple[str, str, str]]
) -> None:
    """Checks that the fragments of an old job are gone, except those that somebody may need."""
    for name in life.fragments:
        owners = {(each.tenant, each.user) for each in lives if name in each.fragments}
        owners |= {(each.tenant, each.user) for each in lives if name == each.output}
        owners |= {(tenant, user) for tenant, user, uploaded in uploads if uploaded == name}
        mine = (life.tenant, life.user)
        others = [each for each in lives if (each.tenant, each.user) == mine and each is not life]
        spare = not any(name in (*each.fragments, each.output) for each in others) and name != life.output
        if spare and (*mine, name) not in uploads:
            assert not await known(store, *mine, name)
            if {owner for owner in owners if owner[0] == life.tenant} == {mine}:
                assert not await stored.has(blob_key(life.tenant, digest(name)))


async def test_a_round_that_was_cancelled_is_continued_by_the_next(
    store: PostgresStore, clock: FakeClock, tmp_path: Path
) -> None:
    stored = Bytes(tmp_path)
    jobs = [await run_job(store, clock, stored, numbered(number), fragments=("a", "b")) for number in range(1, 4)]
    clock.advance(31 * DAY_S)
    removal = retention(store, stored.blobs, clock).removals[0]
    first = await store.old_jobs.with_events(clock.now(), after=None, limit=1)
    await store.old_jobs.forget_fragments(first[0])  # and here its process dies
    assert await stored.has(blob_key("studio", digest("a")))
    assert [count async for count in removal.batches(clock.now())] == [3]
    assert [await sequences(store, job.id) for job in jobs] == [[], [], []]
    assert not await stored.has(blob_key("studio", digest("a")))


async def test_a_round_ends_at_its_limit_and_says_that_there_is_more(
    store: PostgresStore, clock: FakeClock, tmp_path: Path
) -> None:
    stored = Bytes(tmp_path)
    for number in range(1, 4):
        await run_job(store, clock, stored, numbered(number))
    clock.advance(31 * DAY_S)
    removing = retention(store, stored.blobs, clock)
    outcome = await removing.run(Kind.EVENTS, 1)
    assert (outcome.removed, outcome.more) == (3, True)
    assert not (await removing.run(Kind.EVENTS, 1)).more


async def test_one_process_at_a_time_removes(
    store: PostgresStore, clock: FakeClock, database: str, tmp_path: Path
) -> None:
    removing = retention(store, Bytes(tmp_path).blobs, clock, only_one=RetentionLock(database).only_one)
    async with RetentionLock(database).only_one() as alone:
        assert alone
        assert not await removing.round()
        with pytest.raises(Unavailable) as refused:
            await removing.run(Kind.EVENTS, 1)
        assert refused.value.reason is RetentionReason.RETENTION_BUSY
    assert (await removing.run(Kind.EVENTS, 1)).removed == 0


async def test_a_kind_that_is_kept_without_a_limit_is_not_removed_by_a_command_either(
    store: PostgresStore, clock: FakeClock, tmp_path: Path
) -> None:
    removing = retention(store, Bytes(tmp_path).blobs, clock, ages=Ages(DAYS | {Kind.JOBS: 0}))
    with pytest.raises(PreconditionFailed) as refused:
        await removing.run(Kind.JOBS, 1)
    assert refused.value.reason is RetentionReason.RETENTION_OFF


@dataclass
class BrokenRemoval:
    """Fails at first, and then removes one thing in each round."""

    failures: list[Exception]
    removed: asyncio.Event = field(default_factory=asyncio.Event)
    kind: Kind = Kind.EVENTS

    async def due(self, before: datetime) -> Due:
        return NOTHING_DUE

    async def batches(self, before: datetime) -> AsyncGenerator[int, None]:
        if self.failures:
            raise self.failures.pop()
        yield 1
        self.removed.set()


async def test_a_kind_that_fails_does_not_keep_the_others(
    store: PostgresStore, clock: FakeClock, tmp_path: Path
) -> None:
    broken, good = BrokenRemoval([RuntimeError("a bug")]), BrokenRemoval([], kind=Kind.JOBS)
    assert not await retention(store, Bytes(tmp_path).blobs, clock, removals=(broken, good)).round()
    assert good.removed.is_set() and not broken.removed.is_set()


async def test_rounds_go_on_after_failures(store: PostgresStore, clock: FakeClock, tmp_path: Path) -> None:
    broken = BrokenRemoval([RuntimeError("a bug"), Unavailable("away", reason=ServiceReason.DATABASE_UNAVAILABLE)])
    removing = retention(store, Bytes(tmp_path).blobs, clock, removals=(broken,), every_s=0.0)
    running = asyncio.create_task(removing.repeat())
    async with asyncio.timeout(30):
        await broken.removed.wait()
    running.cancel()
    assert not broken.failures


async def test_the_connection_of_the_lock_is_closed_when_its_holder_is_cancelled_at_its_end(database: str) -> None:
    async def hold() -> None:
        async with RetentionLock(database).only_one() as taken:
            task = asyncio.current_task()
            assert taken and task is not None
            task.cancel()  # arrives at the next wait: that for the release

    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always", ResourceWarning)
        await asyncio.gather(asyncio.create_task(hold()), return_exceptions=True)
        gc.collect()
    assert [str(each.message) for each in found if "while still open" in str(each.message)] == []
